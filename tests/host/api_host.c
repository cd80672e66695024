/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tests/unit/fake_tokens.c control/tls_view.c net/tls_counters.c */
/* sources: tests/unit/fake_keys.c control/key_commands.c */
/* sources: control/attempts.c net/bucket.c net/callers.c */
/* sources: tests/unit/fake_protection.c control/protect_commands.c */
/* sources: guest/load/vm_report.c config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: control/trace_commands.c host/trace.c */
/* sources: control/dirty_commands.c */
/* sources: control/migrate_commands.c control/migrate_query.c migrate/move.c migrate/stats.c owners/handoff.c */
/* sources: stream/wire.c */
/* sources: tests/unit/fake_migration.c control/status.c */
/* sources: control/api.c control/image_api.c control/http_server.c control/http_parse.c control/metrics.c */
/* sources: control/command.c control/host_commands.c control/vm_commands.c control/json.c */
/* sources: control/buffer.c control/net_commands.c tests/unit/stubs.c tests/unit/fake_vms.c hv/guest_tsc.c */
/* sources: net/mac.c net/http_head.c tests/unit/fake_witness.c control/witness_commands.c */
/*
 * The HTTP API as a program of this machine: api_host TOKEN (or "open") [STATUS]. The token is an admin's; those of the
 * other roles are "read-TOKEN" and "operate-TOKEN". It serves two guests that do not
 * exist on a free port of 127.0.0.1, which it prints, with net/tcp_server.h over sockets. Moves have the STATUS at
 * once, as query-migrate shows it; "completed" unless told. Ends when its standard input does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/config.h"
#include "control/api.h"
#include "control/http_server.h"
#include "host/asm.h"
#include "net/tcp_server.h"
#include "net/tcp_stream.h"
#include "save/restoring.h"
#include "save/saving.h"
#include "net/uplink.h"
#include "tests/unit/fake_migration.h"
#include "tests/unit/fake_tokens.h"
#include "tests/unit/fake_vms.h"

#define CONNS 64

struct tcp_conn {
    int fd; /* -1: free */
    void *ctx;
    char waiting[65536];
    size_t len;
    bool offering;
    bool closing; /* our side is shut: wait for the peer's end */
};

static struct tcp_conn conns[CONNS];
static const struct tcp_server_ops *ops;
static int listener;

int tcp_server_start(uint16_t port, enum tcp_trust trust, const struct tcp_server_ops *given)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);

    (void)port, (void)trust;
    ops = given;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&address, &len))
        return -errno;
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return 0;
}

bool tcp_conn_peer(const struct tcp_conn *conn, struct tcp_address *peer)
{
    (void)conn;
    *peer = (struct tcp_address){ .bytes = { 127, 0, 0, 1 } };
    return true;
}

size_t tcp_conn_write(struct tcp_conn *conn, const void *data, size_t len)
{
    ssize_t sent = send(conn->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    return sent > 0 ? (size_t)sent : 0;
}

void tcp_conn_receive(struct tcp_conn *conn)
{
    if (conn->offering)
        return;
    conn->offering = true;
    while (conn->ctx && conn->len) {
        char *copy = malloc(conn->len); /* of its exact size, for the sanitizer */
        size_t taken, len = conn->len;

        memcpy(copy, conn->waiting, len);
        taken = ops->received(conn->ctx, copy, len);
        free(copy);
        if (!taken || !conn->ctx)
            break;
        conn->len -= taken;
        memmove(conn->waiting, conn->waiting + taken, conn->len);
    }
    conn->offering = false;
}

void tcp_conn_close(struct tcp_conn *conn)
{
    conn->ctx = NULL;
    conn->closing = true;
    shutdown(conn->fd, SHUT_WR);
}

void tcp_conn_abort(struct tcp_conn *conn)
{
    struct linger now = { 1, 0 };

    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(conn->fd);
    conn->ctx = NULL;
    conn->fd = -1;
}

/* A stream is the same connection. */
void tcp_conn_pass(struct tcp_conn *conn, void (*passed)(void *ctx, struct tcp_stream *stream))
{
    void *ctx = conn->ctx;

    conn->ctx = NULL;
    passed(ctx, (struct tcp_stream *)conn);
}

long tcp_stream_send(struct tcp_stream *stream, const void *bytes, size_t len, bool stable)
{
    (void)stable;
    return (long)tcp_conn_write((struct tcp_conn *)stream, bytes, len);
}

void tcp_stream_close(struct tcp_stream *stream)
{
    tcp_conn_close((struct tcp_conn *)stream);
}

static void conn_accept(void)
{
    int fd = accept(listener, NULL, NULL), small = 4096;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)); /* so that sending in pieces is tested */
    for (unsigned i = 0; i < CONNS; i++)
        if (conns[i].fd < 0) {
            conns[i] = (struct tcp_conn){ .fd = fd };
            conns[i].ctx = ops->opened(&conns[i]);
            if (!conns[i].ctx)
                tcp_conn_abort(&conns[i]);
            return;
        }
    close(fd);
}

static void conn_readable(struct tcp_conn *conn)
{
    ssize_t got;

    if (conn->closing)
        conn->len = 0;
    if (conn->len == sizeof(conn->waiting))
        return;
    got = recv(conn->fd, conn->waiting + conn->len, sizeof(conn->waiting) - conn->len, MSG_DONTWAIT);
    if (got > 0) {
        conn->len += (size_t)got;
        tcp_conn_receive(conn);
        return;
    }
    if (got < 0 && errno == EAGAIN)
        return;
    if (conn->ctx)
        ops->closed(conn->ctx);
    close(conn->fd);
    conn->fd = -1;
    conn->ctx = NULL;
}

static void serve(void)
{
    struct pollfd fds[CONNS + 2] = { { .fd = 0, .events = POLLIN }, { .fd = listener, .events = POLLIN } };

    for (unsigned i = 0; i < CONNS; i++)
        fds[i + 2] = (struct pollfd){ .fd = conns[i].fd, .events = POLLIN };
    poll(fds, CONNS + 2, 20);
    if (fds[0].revents)
        exit(0);
    if (fds[1].revents)
        conn_accept();
    for (unsigned i = 0; i < CONNS; i++) {
        if (conns[i].fd >= 0 && conns[i].fd == fds[i + 2].fd && fds[i + 2].revents)
            conn_readable(&conns[i]);
        if (conns[i].fd >= 0 && conns[i].ctx)
            ops->writable(conns[i].ctx);
    }
    http_server_poll();
}

/* Guests that do not exist are neither saved nor restored. */
int saving_begin(struct vm *vm, const struct save_request *request, struct tcp_stream *stream, const char **reason)
{
    (void)vm;
    (void)request;
    (void)stream;
    *reason = "it does not exist";
    return -EBUSY;
}

void restored_note(const struct restored *restored, char *text, size_t room)
{
    (void)restored, (void)room;
    text[0] = '\0';
}

int restoring_begin(const struct restore_request *request, const struct transport *file,
                    void (*over)(void *ctx, const struct restored *restored), void *ctx)
{
    (void)request;
    (void)file;
    (void)over;
    (void)ctx;
    return -ENOMEM;
}

long tcp_stream_receive(struct tcp_stream *stream, void *bytes, size_t len)
{
    (void)stream;
    (void)bytes;
    (void)len;
    return -EPIPE;
}

/* There is a card. */
const u8 *uplink_mac(void)
{
    static const u8 mac[] = { 0x52, 0x54, 0, 0, 0, 1 };

    return mac;
}

static bool status_choose(const char *name)
{
    for (enum migrate_status status = MIGRATE_SETUP; status <= MIGRATE_CANCELLED; status++)
        if (!strcmp(name, migrate_status_name(status))) {
            fake_migration.status = status;
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    struct config_api config = { .port = 80 };

    if (argc < 2 || argc > 3 || (argc == 3 && !status_choose(argv[2])))
        return 2;
    if (!strcmp(argv[1], "open"))
        config.access = CONFIG_ACCESS_OPEN;
    else
        fake_secret = argv[1], strcpy(config.tokens, "tokens");
    for (unsigned i = 0; i < CONNS; i++)
        conns[i].fd = -1;
    fake_vms_init();
    fake_console_send(fake_vm(0), "web: ready\n", 11);
    for (unsigned i = 0; i < 100; i++)
        fake_trace(i / 2 % 2, rdtsc(), i % 2 ? "io" : "turn", fake_vm(0), 0x1000 + i);
    api_init(&config);
    for (;;)
        serve();
}

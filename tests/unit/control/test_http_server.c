/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: control/http_server.c control/http_parse.c net/http_head.c control/json.c control/buffer.c */
/* sources: tests/unit/stubs.c */
/* What stays of a request when it is answered: nothing, on a connection that goes on, too. */
#include "control/http_server.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/clock.h"
#include "net/tcp_server.h"

#define SECRET "correct-horse-battery"
#define REQUEST "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " SECRET "\r\n\r\n"

static const struct tcp_server_ops *server;
static unsigned answered;

u64 clock_ns(void)
{
    return 1;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

int tcp_server_start(u16 port, enum tcp_trust trust, const struct tcp_server_ops *ops)
{
    (void)port, (void)trust;
    server = ops;
    return 0;
}

bool tcp_conn_peer(const struct tcp_conn *conn, struct tcp_address *peer)
{
    (void)conn, (void)peer;
    return true;
}

size_t tcp_conn_write(struct tcp_conn *conn, const void *data, size_t len)
{
    (void)conn, (void)data;
    return len;
}

void tcp_conn_receive(struct tcp_conn *conn)
{
    (void)conn;
}

void tcp_conn_pass(struct tcp_conn *conn, void (*passed)(void *ctx, struct tcp_stream *stream))
{
    (void)conn, (void)passed;
}

void tcp_conn_close(struct tcp_conn *conn)
{
    (void)conn;
}

void tcp_conn_abort(struct tcp_conn *conn)
{
    (void)conn;
}

static void answer(const struct http_request *request, const char *body, bool last, struct http_response *response)
{
    (void)request, (void)body, (void)last;
    answered++;
    response->status = 200;
    response->type = "text/plain";
}

/* How many bytes of the secret are somewhere in that memory, one after the other. */
static size_t left(const char *memory, size_t size)
{
    size_t most = 0;

    for (size_t at = 0; at < size; at++)
        for (size_t from = 0; from < strlen(SECRET); from++) {
            size_t n = 0;

            while (at + n < size && from + n < strlen(SECRET) && memory[at + n] == SECRET[from + n])
                n++;
            most = n > most ? n : most;
        }
    return most;
}

static void nothing_stays(void **state)
{
    static const char *const before[] = { "", "\r\n", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\n" };
    char *client;

    (void)state;
    assert_int_equal(http_server_start(80, TCP_ANYBODY, answer), 0);
    client = server->opened(NULL);
    for (unsigned i = 0; i < 3; i++) {
        char text[200];
        size_t len = (size_t)snprintf(text, sizeof(text), "%s" REQUEST, before[i]);

        assert_int_equal(server->received(client, text, len - 2), len - 2); /* it waits for the last line */
        assert_true(left(client, malloc_usable_size(client)) == strlen(SECRET));
        assert_int_equal(server->received(client, text + len - 2, 2), 2);
        assert_int_equal(answered, i + 1);
        assert_true(left(client, malloc_usable_size(client)) < 4);
    }
    server->closed(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/witness_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "host/clock.h"
#include "host/host_work.h"
#include "net/tcp_stream.h"
#include "owners/base64.h"

struct tcp_stream {
    struct server *server;
    char request[4096], answer[8192];
    size_t asked, len, at;
    unsigned starts;
    bool closed, reset, repeats;
};

struct witness_rig rig;

u64 clock_ns(void)
{
    return rig.now;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

void host_work_add(u64 (*fn)(void))
{
    rig.poll = fn;
}

void tcp_address_text(const struct tcp_address *address, char text[TCP_ADDRESS_TEXT])
{
    snprintf(text, TCP_ADDRESS_TEXT, "192.0.2.%u:%u", address->bytes[3], address->port);
}

int tcp_stream_connect(const struct tcp_address *to, enum tcp_trust trust, struct tcp_stream **stream)
{
    assert_int_equal(trust, TCP_SERVERS);
    *stream = calloc(1, sizeof(**stream));
    assert_non_null(*stream);
    (*stream)->server = &rig.server[to->bytes[3] - 1];
    (*stream)->server->connections++;
    rig.streams++;
    (*stream)->starts = (*stream)->server->starts;
    return 0;
}

int tcp_stream_state(const struct tcp_stream *stream)
{
    if (stream->server->conduct == REFUSES)
        return -ECONNREFUSED;
    if (stream->server->conduct == JUDGES && stream->starts != stream->server->starts)
        return -EACCES;
    return stream->server->conduct == VANISHED || tcp_stream_shakes(stream) ? -EAGAIN : 0;
}

bool tcp_stream_shakes(const struct tcp_stream *stream)
{
    return stream->server->conduct == SHAKES ||
           (stream->server->conduct == JUDGES && stream->starts == stream->server->starts);
}

void tcp_stream_abort(struct tcp_stream *stream)
{
    free(stream);
    rig.streams--;
}

void tcp_stream_close(struct tcp_stream *stream)
{
    tcp_stream_abort(stream);
}

void tcp_stream_push_all(void)
{
}

/* The text of a member of the request's JSON, decoded. */
static bool field(const char *json, const char *name, char text[400])
{
    char quoted[40];
    const char *at, *end;
    long len;

    snprintf(quoted, sizeof(quoted), "\"%s\":\"", name);
    at = strstr(json, quoted);
    if (!at)
        return false;
    at += strlen(quoted);
    end = strchr(at, '"');
    assert_non_null(end);
    len = base64_decode(at, (size_t)(end - at), text, 399);
    assert_true(len >= 0);
    text[len] = '\0';
    return true;
}

static void put_held(char *out, size_t room)
{
    char text[BASE64_ROOM(sizeof(rig.held))];

    base64_encode(rig.held, strlen(rig.held), text);
    if (rig.present)
        snprintf(out, room,
                 ",\"kvs\":[{\"key\":\"eA==\",\"create_revision\":\"2\",\"mod_revision\":\"9\",\"version\":\"8\","
                 "\"value\":\"%s\"}],\"count\":\"1\"",
                 text);
    else
        *out = '\0';
}

static void put_txn(const char *json, const char *header, char *out, size_t room)
{
    const char *success = strstr(json, "\"success\"");
    bool create = strstr(json, "\"target\":\"CREATE\",\"createRevision\":\"0\"");
    char expected[400], value[400], kvs[1000];

    assert_non_null(success);
    assert_true(field(success, "value", value));
    assert_true(create || field(json, "value", expected));
    if (create ? !rig.present : rig.present && !strcmp(rig.held, expected)) {
        rig.present = true;
        strcpy(rig.held, value);
        snprintf(out, room,
                 "{%s,\"succeeded\":true,\"responses\":[{\"response_put\":{\"header\":{\"revision\":\"3\"}}}]}",
                 header);
        return;
    }
    put_held(kvs, sizeof(kvs));
    snprintf(out, room, "{%s,\"responses\":[{\"response_range\":{\"header\":{\"revision\":\"3\"}%s}}]}", header, kvs);
}

/* A whole request is there: answer. */
static void serve(struct tcp_stream *stream, const char *json)
{
    struct server *server = stream->server;
    char header[200], body[2048], kvs[1000], key[400];

    server->requests++;
    if (stream->len) /* what it has said before comes first */
        return;
    stream->repeats = server->conduct == REPEATS;
    if (server->conduct == SAYS) {
        stream->len = (size_t)snprintf(stream->answer, sizeof(stream->answer), "%s", server->text);
        return;
    }
    if (server->conduct != ANSWERS && server->conduct != FORGETS && server->conduct != PARTS &&
        server->conduct != REPEATS && server->conduct != LOSES)
        return;
    assert_true(field(json, "key", key));
    assert_string_equal(key, KEY);
    snprintf(header, sizeof(header), "\"header\":{\"cluster_id\":\"%lu\",\"member_id\":\"7\",\"raft_term\":\"2\"}",
             server->cluster);
    if (strstr(stream->request, "POST /v3/kv/txn HTTP/1.1\r\n") == stream->request) {
        put_txn(json, header, body, sizeof(body));
    } else {
        assert_true(strstr(stream->request, "POST /v3/kv/range HTTP/1.1\r\n") == stream->request);
        put_held(kvs, sizeof(kvs));
        snprintf(body, sizeof(body), "{%s%s}", header, kvs);
    }
    if (server->conduct == FORGETS)
        stream->closed = true;
    else
        stream->len = (size_t)snprintf(
            stream->answer, sizeof(stream->answer),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nGrpc-Metadata-Content-Type:"
            " application/grpc\r\n%sContent-Length: %zu\r\n\r\n%s",
            server->conduct == PARTS ? "Connection: close\r\n" : "", strlen(body), body);
}

long tcp_stream_send(struct tcp_stream *stream, const void *bytes, size_t len, bool stable)
{
    const char *end;

    assert_false(stable);
    assert_true(stream->asked + len < sizeof(stream->request));
    if (stream->closed)
        return -ECONNRESET;
    if (stream->starts != stream->server->starts) {
        stream->reset = stream->server->conduct != LOSES;
        return (long)len;
    }
    memcpy(stream->request + stream->asked, bytes, len);
    stream->asked += len;
    end = strstr(stream->request, "\r\n\r\n");
    assert_non_null(end);
    assert_int_equal(atoi(strstr(stream->request, "Content-Length: ") + 16), strlen(end + 4));
    assert_non_null(strstr(stream->request, "\r\nHost: 192.0.2."));
    serve(stream, end + 4);
    return (long)len;
}

long tcp_stream_receive(struct tcp_stream *stream, void *bytes, size_t len)
{
    size_t n = MIN(len, stream->len - stream->at);

    if (stream->server->piece)
        n = MIN(n, stream->server->piece);
    if (!n && stream->closed)
        return -EPIPE;
    if (!n && stream->reset)
        return -ECONNRESET;
    if (!n)
        return tcp_stream_state(stream) ? tcp_stream_state(stream) : -EAGAIN;
    memcpy(bytes, stream->answer + stream->at, n);
    stream->at += n;
    if (stream->at == stream->len) { /* ready for the next request */
        memset(stream->request, 0, sizeof(stream->request));
        stream->asked = stream->at = 0;
        stream->len = stream->repeats ? stream->len : 0;
        stream->repeats = false;
    }
    return (long)n;
}

const struct witness_outcome *outcome(void)
{
    return witness_outcome(rig.request);
}

u64 wait_ms(void)
{
    u64 began = rig.now;

    while (outcome()->result == WITNESS_ASKED) {
        assert_true(rig.now - began < 10000000000);
        rig.poll();
        rig.now += outcome()->result == WITNESS_ASKED ? 10000000 : 0;
    }
    return (rig.now - began) / 1000000;
}

enum witness_result read_key(void)
{
    witness_read(rig.request, KEY);
    wait_ms();
    return outcome()->result;
}

enum witness_result read_at(unsigned member)
{
    witness_read_at(rig.request, member, KEY);
    wait_ms();
    return outcome()->result;
}

enum witness_result swap(const char *expected, const char *value)
{
    witness_swap(rig.request, KEY, expected, value);
    wait_ms();
    return outcome()->result;
}

int witness_group_setup(void **state)
{
    static const struct config_witness config = {
        .present = 1,
        .timeout = TIMEOUT,
        .url = { { .bytes = { 192, 0, 2, 1 }, .port = 2379, .https = 1 },
                 { .bytes = { 192, 0, 2, 2 }, .port = 2379, .https = 1 },
                 { .bytes = { 192, 0, 2, 3 }, .port = 2379, .https = 1 } },
    };

    (void)state;
    rig.request = witness_open();
    witness_read(rig.request, KEY);
    assert_int_equal(outcome()->result, WITNESS_UNREACHABLE);
    assert_string_equal(outcome()->reason, "the configuration has no [witness]");
    witness_close(rig.request);
    assert_false(witness_configured());
    witness_start(&config);
    assert_true(witness_configured());
    assert_null(witness_member(3));
    return 0;
}

int witness_setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVERS; i++)
        rig.server[i] = (struct server){ .conduct = ANSWERS, .cluster = 14841639068965178418ULL };
    rig.present = false;
    rig.request = witness_open();
    assert_non_null(rig.request);
    for (unsigned i = 0; i < SERVERS * 2; i++)
        read_at(i % SERVERS);
    for (unsigned i = 1; i < SERVERS; i++)
        rig.server[i].conduct = REFUSES;
    assert_int_equal(read_key(), WITNESS_READ);
    for (unsigned i = 1; i < SERVERS; i++)
        rig.server[i].conduct = ANSWERS;
    for (unsigned i = 0; i < SERVERS; i++) {
        read_at(i);
        assert_true(witness_member(i)->answering);
    }
    witness_close(rig.request);
    rig.request = witness_open();
    for (unsigned i = 0; i < SERVERS; i++)
        rig.server[i].connections = rig.server[i].requests = 0;
    return 0;
}

int witness_teardown(void **state)
{
    (void)state;
    witness_close(rig.request);
    assert_in_range(rig.streams, 0, SERVERS * HTTP_KEPT);
    return 0;
}

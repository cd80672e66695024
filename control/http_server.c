/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each client is a state machine (enum client_state), stepped by bytes that arrive, by room to send and by the clock.
 * The client may be freed in a step: the caller of client_step must not touch it afterwards. A request may have a token
 * or keys: it is wiped when it is answered.
 */
#define LOG_PREFIX "http"
#include "control/http_server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/http_parse.h"
#include "control/json.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/bits.h"
#include "host/list.h"
#include "net/tcp_server.h"
#include "tls/wipe.h"

#define REFUSED_CLIENTS 8 /* so many connections beyond HTTP_CLIENTS are told that; still more are reset */
#define POLL_NS 20000000ULL

enum client_state {
    CLIENT_READING, /* a request is not complete */
    CLIENT_WAITING, /* the handler wants to be asked again */
    CLIENT_SENDING, /* an answer is on its way */
};

struct client {
    struct list node;
    struct tcp_conn *conn;
    enum client_state state;
    bool stepping; /* client_step is running: functions that it calls must not call it */
    bool known;    /* the handler has accepted the client; until then it is a stranger */
    u64 since;     /* ns: when it came; of a known client, when it began to wait or last had an answer */
    u64 deadline;  /* ns; what it means depends on the state */

    char in[HTTP_HEAD_MAX + HTTP_BODY_MAX];
    size_t in_len;
    size_t head_len;    /* of the request that is being answered */
    size_t request_len; /* the same with its body, as far as that is awaited */
    struct http_request request;
    bool continued; /* "100 Continue" has been sent for this request */

    struct buffer out; /* head and body of the answer */
    size_t out_sent;
    bool keep_alive; /* the connection stays open after this answer */

    http_taker *taker; /* takes the connection over after this answer; NULL: nobody */
    void *taker_ctx;
};

static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
static struct list clients = { &clients, &clients };
static unsigned nr_clients, nr_waiting;
static http_handler *answer;

static void set_deadline(struct client *client, u64 ms)
{
    client->deadline = clock_ns() + ms * 1000000;
}

/* Nobody else will have the connection. */
static void taker_call(struct client *client, struct tcp_stream *stream)
{
    http_taker *taker = client->taker;

    client->taker = NULL;
    if (taker)
        taker(client->taker_ctx, stream, client->in + client->head_len, client->in_len - client->head_len);
}

/* Forget the client; its connection is closed by the caller or gone. */
static void client_free(struct client *client)
{
    taker_call(client, NULL);
    nr_waiting -= client->state == CLIENT_WAITING;
    nr_clients--;
    list_del(&client->node);
    buffer_fini(&client->out);
    wipe(client, sizeof(*client));
    free(client);
}

static void client_close(struct client *client)
{
    tcp_conn_close(client->conn);
    client_free(client);
}

void http_refuse(struct http_response *response, int status, const char *format, ...)
{
    char text[400];
    struct json json;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buffer_fini(&response->body);
    json_init(&json);
    json_object(&json, NULL);
    json_string(&json, "error", text);
    json_close(&json);
    response->status = status;
    response->type = "application/json";
    response->body = json.buffer;
}

void http_put_head(struct buffer *out, const struct http_response *response, u64 len, bool keep_alive)
{
    buffer_format(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n", response->status, http_status_text(response->status),
                  response->type);
    if (len != ~0ULL)
        buffer_format(out, "Content-Length: %lu\r\n", (unsigned long)len);
    buffer_format(out, "Cache-Control: no-store\r\nConnection: %s\r\n%s\r\n", keep_alive ? "keep-alive" : "close",
                  response->fields);
}

/* The connection goes to a taker when what the response says is sent. */
static void hand_over(struct client *client, const struct http_response *response)
{
    client->taker = response->taker;
    client->taker_ctx = response->taker_ctx;
    if (response->status)
        http_put_head(&client->out, response, ~0ULL, false);
    else if (client->request.expect_continue && !client->continued)
        buffer_put(&client->out, go_on, sizeof(go_on) - 1);
}

/* Make the answer's bytes, and begin to send. */
static void respond(struct client *client, struct http_response *response)
{
    if (response->body.failed)
        http_refuse(response, 503, "no memory for the answer");
    client->out_sent = 0;
    if (response->taker)
        hand_over(client, response);
    else
        http_put_head(&client->out, response, response->body.len, client->keep_alive);
    if (client->request.method != HTTP_HEAD && response->body.len)
        buffer_put(&client->out, response->body.text, response->body.len);
    if (client->out.failed)
        client->keep_alive = false; /* the answer is cut off, so the connection can't go on */
    buffer_fini(&response->body);
    client->state = CLIENT_SENDING;
    set_deadline(client, HTTP_SEND_MS);
}

static void respond_error(struct client *client, int status, const char *reason)
{
    struct http_response response = { 0 };

    client->keep_alive = false;
    client->request.method = HTTP_OTHER;
    http_refuse(&response, status, "%s", reason);
    respond(client, &response);
}

static void client_ask(struct client *client, bool first, bool last);

/* May this client give way? Of those that may, the one that has been in its place for longest does. */
typedef bool gives_way(const struct client *client);

/* In any state: a stranger that does not read its answer must not keep its place by that. */
static bool is_stranger(const struct client *client)
{
    return !client->known;
}

static bool is_idle(const struct client *client)
{
    return is_stranger(client) || (client->state == CLIENT_READING && !client->in_len);
}

/* A client does not give way at once: nine clients that all ask again as soon as they have an answer would keep each
 * other from waiting at all. */
static bool has_waited(const struct client *client)
{
    return client->state == CLIENT_WAITING && clock_ns() - client->since >= HTTP_WAITED_MS * NS_PER_MS;
}

static struct client *find_oldest(gives_way *suits)
{
    struct client *oldest = NULL;

    list_each (struct client, client, &clients)
        if (suits(client) && (!oldest || client->since < oldest->since))
            oldest = client;
    return oldest;
}

/* Let the request wait. If too many wait, the oldest one gets its answer early, without news. False: none has waited
 * long enough for that. */
static bool begin_to_wait(struct client *client, u32 wait_ms)
{
    struct client *oldest = nr_waiting == HTTP_WAITERS ? find_oldest(has_waited) : NULL;

    if (oldest)
        client_ask(oldest, false, true); /* the next poll sends the answer */
    if (nr_waiting == HTTP_WAITERS)
        return false;
    nr_waiting++;
    client->state = CLIENT_WAITING;
    client->since = clock_ns();
    set_deadline(client, wait_ms);
    return true;
}

/* Ask the handler: it answers, or the client waits. first: the request is new. */
static void client_ask(struct client *client, bool first, bool last)
{
    struct http_response response = { 0 };
    const char *body = client->in + client->head_len;

    client->request.known = client->known;
    tcp_conn_peer(client->conn, &client->request.from);
    answer(&client->request, body, last, &response);
    client->known = !response.stranger;
    client->keep_alive &= client->known;
    if (!response.wait_ms) {
        nr_waiting -= !first;
        respond(client, &response);
    } else if (first && !begin_to_wait(client, response.wait_ms)) {
        response.wait_ms = 0;
        snprintf(response.fields, sizeof(response.fields), "Retry-After: 1\r\n");
        http_refuse(&response, 429, "too many requests wait already, at most %d may", HTTP_WAITERS);
        respond(client, &response);
    }
}

/* The first bytes of what has come are done with: what is behind them takes their place, and nothing of it stays where
 * it was. */
static void client_take(struct client *client, size_t len)
{
    client->in_len -= len;
    memmove(client->in, client->in + len, client->in_len);
    wipe(client->in + client->in_len, len);
}

/* Is there a whole request? Then the request is answered, or waits, and true is returned. */
static bool client_read(struct client *client)
{
    struct http_result result;
    bool large;

    client_take(client, http_empty_lines(client->in, client->in_len));
    result = http_parse(client->in, client->in_len, &client->request);
    if (result.status) {
        respond_error(client, result.status, result.reason);
        return true;
    }
    if (!result.head)
        return false;
    large = client->request.content_length > HTTP_BODY_MAX;
    client->keep_alive = client->request.keep_alive && !large;
    client->head_len = result.head;
    client->request_len = result.head + (large ? 0 : client->request.content_length);
    if (client->in_len < client->request_len) {
        if (client->request.expect_continue && !client->continued)
            tcp_conn_write(client->conn, go_on, sizeof(go_on) - 1);
        client->continued = true;
        return false;
    }
    client_ask(client, true, false);
    return true;
}

/* Send as much as there is room for. True: all has been sent. */
static bool client_send(struct client *client)
{
    while (client->out_sent < client->out.len) {
        size_t sent = tcp_conn_write(client->conn, client->out.text + client->out_sent,
                                     client->out.len - client->out_sent);

        if (!sent)
            return false;
        client->out_sent += sent;
        set_deadline(client, HTTP_SEND_MS);
    }
    return true;
}

/* The answer is sent: go on to the next request, which may have come in part. */
static void client_next(struct client *client)
{
    buffer_fini(&client->out);
    client_take(client, client->request_len);
    wipe(&client->request, sizeof(client->request));
    client->request_len = 0;
    client->continued = false;
    client->state = CLIENT_READING;
    if (client->known)
        client->since = clock_ns();
    set_deadline(client, client->in_len ? HTTP_REQUEST_MS : HTTP_IDLE_MS);
    tcp_conn_receive(client->conn);
}

static void client_passed(void *ctx, struct tcp_stream *stream)
{
    taker_call(ctx, stream);
    client_free(ctx);
}

/* Do all that can be done now. The client may be gone afterwards. */
static void client_step(struct client *client)
{
    client->stepping = true;
    for (;;) {
        if (client->state == CLIENT_READING && !client_read(client))
            break;
        if (client->state == CLIENT_WAITING || !client_send(client))
            break;
        if (client->taker) { /* the client may be gone */
            tcp_conn_pass(client->conn, client_passed);
            return;
        }
        if (!client->keep_alive) {
            client_close(client);
            return;
        }
        client_next(client);
    }
    client->stepping = false;
}

static void let_one_go(gives_way *suits)
{
    struct client *leaves = find_oldest(suits);

    if (leaves)
        client_close(leaves);
}

/* Find a place for a client that has come; another client may have to give way. False: all are busy. */
static bool make_room(void)
{
    unsigned strangers = 0;

    list_each (const struct client, client, &clients)
        strangers += is_stranger(client);
    if (strangers >= HTTP_STRANGERS)
        let_one_go(is_stranger);
    if (nr_clients >= HTTP_CLIENTS)
        let_one_go(is_idle);
    return nr_clients < HTTP_CLIENTS;
}

static void *client_opened(struct tcp_conn *conn)
{
    bool room = make_room();
    struct client *client = nr_clients < HTTP_CLIENTS + REFUSED_CLIENTS ? calloc(1, sizeof(*client)) : NULL;

    if (!client)
        return NULL;
    client->conn = conn;
    client->since = clock_ns();
    set_deadline(client, HTTP_REQUEST_MS);
    list_add_tail(&clients, &client->node);
    nr_clients++;
    if (!room)
        respond_error(client, 503, "too many connections");
    return client;
}

static size_t client_received(void *ctx, const void *data, size_t len)
{
    struct client *client = ctx;
    size_t taken = client->state == CLIENT_READING ? MIN(len, sizeof(client->in) - client->in_len) : 0;

    if (taken && !client->in_len)
        set_deadline(client, HTTP_REQUEST_MS);
    memcpy(client->in + client->in_len, data, taken);
    client->in_len += taken;
    if (!client->stepping)
        client_step(client);
    return taken;
}

static void client_writable(void *ctx)
{
    struct client *client = ctx;

    if (client->state == CLIENT_SENDING && !client->stepping)
        client_step(client);
}

static void client_closed(void *ctx)
{
    client_free(ctx);
}

static const struct tcp_server_ops server_ops = {
    .opened = client_opened,
    .received = client_received,
    .writable = client_writable,
    .closed = client_closed,
};

int http_server_start(u16 port, enum tcp_trust trust, http_handler *handler)
{
    answer = handler;
    return tcp_server_start(port, trust, &server_ops);
}

/* The client's deadline has passed. The client may be gone afterwards. */
static void client_late(struct client *client)
{
    if (client->state == CLIENT_WAITING) {
        client_ask(client, false, true);
        client_step(client);
    } else if (client->state == CLIENT_READING && client->in_len) {
        respond_error(client, 408, "the request did not arrive in time");
        client_step(client);
    } else if (client->state == CLIENT_READING) {
        client_close(client);
    } else {
        tcp_conn_abort(client->conn);
        client_free(client);
    }
}

u64 http_server_poll(void)
{
    u64 now = clock_ns();

    list_each_safe (struct client, client, &clients) {
        if (now >= client->deadline) {
            client_late(client);
        } else if (client->state == CLIENT_WAITING) {
            client_ask(client, false, false);
            if (client->state == CLIENT_SENDING)
                client_step(client);
        } else if (client->state == CLIENT_SENDING) {
            client_step(client); /* a client that was refused when it came */
        }
    }
    return list_empty(&clients) ? ~0ULL : rdtsc() + clock_ns_to_ticks(POLL_NS);
}

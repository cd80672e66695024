/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Typed bytes wait until the guest has taken them: the hypervisor answers how many it took, and the rest is sent again.
 * The guest's output is fetched ten times a second, or as fast as it comes. If the guest has moved, the tool follows it
 * to its new machine. At the end of an input that is no terminal, the guest has a second to answer.
 */
#include "tools/godwit/console.h"

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ESCAPE_KEY 0x1D /* Ctrl-] */
#define POLL_MS 100
#define LAST_MS 1000   /* ms that the guest has after the end of input */
#define STUCK_MS 30000 /* ms after which we give up if no byte is taken */
#define DOUBT_MS 3000  /* ms for which the end of a move that goes well leaves the guest in doubt, and more */
#define PATH 256

struct session {
    const char *vm;
    char path[PATH];          /* of the VM's console */
    unsigned long next;       /* number of the byte to fetch next */
    char guest[16];           /* the guest's status; "": not known */
    bool got;                 /* the last fetch has brought something */
    char waiting[4096];       /* typed, and not taken yet; as long as a request may be */
    size_t len;               /* bytes in `waiting` */
    unsigned long long since; /* ms: when input was last taken, or began to wait */
    unsigned long long sure;  /* ms: when it was last known who has the guest */
    bool said;                /* that the guest does not run here */
    bool escaped, ended;      /* no more input: the escape key has come; the input has ended */
};

static struct termios saved;

static void terminal_restore(void)
{
    tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

/* Every key goes to the guest as it is, Ctrl-C included. */
static void terminal_raw(void)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &saved))
        return;
    raw = saved;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST; /* our own messages need it; the guest's lines end in CRLF anyway */
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    atexit(terminal_restore);
    fprintf(stderr, "connected; Ctrl-] leaves\n");
}

static unsigned long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000;
}

static bool member_is(const json_t *object, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text && !strcmp(text, value);
}

/* The address to which the guest has moved, without the port, which is that of moves; "": it has not moved away. */
static void moved_to(const char *vm, char *address, size_t room)
{
    char path[PATH], *quoted = client_quote(vm);
    struct reply reply;
    const char *peer;
    json_t *move;

    snprintf(path, sizeof(path), "/v1/query-migrate?name=%s", quoted);
    free(quoted);
    reply = client_try(path, NULL, 0);
    move = reply_json(&reply);
    peer = json_string_value(json_object_get(move, "peer"));
    address[0] = '\0';
    if (peer && *peer == '[')
        snprintf(address, room, "%.*s", (int)strcspn(peer + 1, "]"), peer + 1);
    else if (peer)
        snprintf(address, room, "%.*s", (int)strcspn(peer, ":"), peer);
    if (!member_is(move, "role", "source") || !member_is(move, "status", "completed"))
        address[0] = '\0';
    json_decref(move);
    reply_free(&reply);
}

/* The guest is not there any more: if it has moved, go on at its new machine. False: it has not moved. */
static bool follow(struct session *s)
{
    char address[80];

    moved_to(s->vm, address, sizeof(address));
    if (!*address || client_go(address))
        return false;
    fprintf(stderr, "godwit: %s has moved to %s\n", s->vm, address);
    s->next = 0;
    return true;
}

/* Fetch and print new output of the guest. */
static enum status fetch(struct session *s)
{
    char from[PATH + 32];
    struct reply reply;
    enum status status;

    snprintf(from, sizeof(from), "%s?offset=%lu", s->path, s->next);
    reply = client_try(from, NULL, 0);
    status = reply.status;
    s->got = status == STATUS_OK && reply.len;
    if (s->got && write(STDOUT_FILENO, reply.body, reply.len) < 0)
        status = STATUS_FAILED;
    if (reply.status == STATUS_OK) {
        s->next = reply.next;
        memcpy(s->guest, reply.guest, sizeof(s->guest));
    } else if (reply.http == 404 && follow(s)) {
        status = STATUS_OK;
    } else if (reply.http) {
        reply_explain(&reply);
    }
    reply_free(&reply);
    return status;
}

/* Read typed bytes, as far as there is room. */
static void type(struct session *s)
{
    char *keys = s->waiting + s->len, *escape;
    ssize_t len = read(STDIN_FILENO, keys, sizeof(s->waiting) - s->len);

    s->ended = len <= 0;
    escape = len > 0 ? memchr(keys, ESCAPE_KEY, (size_t)len) : NULL;
    s->escaped = escape;
    if (!s->len)
        s->since = now_ms();
    if (len > 0)
        s->len += (size_t)(escape ? escape - keys : len);
}

/* May this failure pass? A guest that takes nothing now may do so soon: it is busy, or on its way. */
static bool may_pass(const struct session *s, const struct reply *reply)
{
    return (reply->http == 503 || reply->http == 409 || reply->http == 404) && !s->escaped &&
           now_ms() - s->since < STUCK_MS;
}

/* Offer the guest the typed bytes that wait. */
static enum status offer(struct session *s)
{
    struct reply reply = client_try(s->path, s->waiting, s->len);
    json_t *json = reply_json(&reply);
    size_t taken = (size_t)json_integer_value(json_object_get(json, "written"));
    enum status status = reply.status;

    json_decref(json);
    if (status == STATUS_OK && taken && taken <= s->len) {
        s->len -= taken;
        memmove(s->waiting, s->waiting + taken, s->len);
        s->since = now_ms();
    } else if (may_pass(s, &reply)) {
        status = STATUS_OK;
    } else if (reply.http) {
        reply_explain(&reply);
    }
    reply_free(&reply);
    return status;
}

static bool is_one_of(const char *text, const char *const *names)
{
    while (*names && strcmp(text, *names) != 0)
        names++;
    return *names;
}

static bool guest_ended(const struct session *s)
{
    static const char *const names[] = { "passed", "failed", "crashed", "off", "halted", NULL };

    return is_one_of(s->guest, names);
}

/* Is it in doubt for longer than in a move that goes well? */
static bool stays_in_doubt(struct session *s)
{
    if (strcmp(s->guest, "in-doubt") != 0)
        s->sure = now_ms();
    return now_ms() - s->sure >= DOUBT_MS;
}

/* Say once if the guest does not run here and nobody knows when it will: its console would be silent without a word. */
static void say_that_it_stands(struct session *s)
{
    static const char *const names[] = { "created", "superseded", "prepared", "elsewhere", NULL };
    bool stands = stays_in_doubt(s) || is_one_of(s->guest, names);

    if (stands && !s->said)
        fprintf(stderr, "godwit: %s is %s: it does not run here\n", s->vm, s->guest);
    s->said = stands;
}

/* Is there nothing left to wait for? */
static bool is_over(const struct session *s)
{
    if (guest_ended(s) && !s->got) {
        fprintf(stderr, "godwit: %s is %s: its console has come to an end\n", s->vm, s->guest);
        return true;
    }
    return !s->len && (s->escaped || (s->ended && now_ms() - s->since > LAST_MS));
}

/* Wait for keys, or until it is time to fetch or to offer again. */
static void await(struct session *s, bool sent)
{
    bool reads = !s->escaped && !s->ended && s->len < sizeof(s->waiting);
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

    if (poll(&input, reads ? 1 : 0, s->got || sent ? 0 : POLL_MS) > 0)
        type(s);
}

enum status console_run(const char *vm)
{
    struct session s = { .vm = vm, .sure = now_ms() };
    char *quoted = client_quote(vm);
    enum status status;
    size_t before = 0;

    snprintf(s.path, sizeof(s.path), "/v1/vms/%s/console", quoted);
    free(quoted);
    status = fetch(&s);
    if (status == STATUS_OK && isatty(STDIN_FILENO))
        terminal_raw();
    while (status == STATUS_OK) {
        say_that_it_stands(&s);
        await(&s, s.len < before);
        before = s.len;
        if (s.len)
            status = offer(&s);
        if (status == STATUS_OK)
            status = fetch(&s);
        if (status == STATUS_OK && is_over(&s))
            break;
    }
    if (s.len)
        fprintf(stderr, "godwit: %zu bytes of input were not taken\n", s.len);
    return status == STATUS_OK && s.len ? STATUS_FAILED : status;
}

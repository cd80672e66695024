/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is typed is posted at once; what the guest says is fetched ten times a second, or as fast as it comes. At the
 * end of an input that is no terminal, the guest has a second to answer.
 */
#include "tools/godwit/console.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE_KEY 0x1D /* Ctrl-] */
#define POLL_MS 100
#define LAST_POLLS 10 /* after the end of input */
#define PATH 256

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

/* Fetch what is new behind *next. *got: how much it was. */
static enum status fetch(const char *path, unsigned long *next, size_t *got)
{
    char from[PATH];
    struct reply reply;
    enum status status;

    snprintf(from, sizeof(from), "%s?offset=%lu", path, *next);
    reply = client_request(from, NULL, 0);
    status = reply.status;
    *got = 0;
    if (status == STATUS_OK) {
        *next = reply.next;
        *got = reply.len;
        if (reply.len && write(STDOUT_FILENO, reply.body, reply.len) < 0)
            status = STATUS_FAILED;
    }
    reply_free(&reply);
    return status;
}

/* Read keys and post them. *over: the escape key has come, or (then *ended as well) the end of input. */
static enum status type(const char *path, bool *over, bool *ended)
{
    char keys[256];
    ssize_t len = read(STDIN_FILENO, keys, sizeof(keys));
    char *escape = len > 0 ? memchr(keys, ESCAPE_KEY, (size_t)len) : NULL;
    struct reply reply;

    *ended = len <= 0;
    *over = *ended || escape;
    if (escape)
        len = escape - keys;
    if (len <= 0)
        return STATUS_OK;
    reply = client_request(path, keys, (size_t)len);
    reply_free(&reply);
    return reply.status;
}

enum status console_run(const char *vm)
{
    char path[PATH], *quoted = client_quote(vm);
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    unsigned long next = 0;
    unsigned last = LAST_POLLS;
    bool over = false, ended = false;
    enum status status;
    size_t got;

    snprintf(path, sizeof(path), "/v1/vms/%s/console", quoted);
    free(quoted);
    status = fetch(path, &next, &got);
    if (status == STATUS_OK && isatty(STDIN_FILENO))
        terminal_raw();
    while (status == STATUS_OK && (!over || (ended && last-- > 0))) {
        int ready = poll(&input, over ? 0 : 1, got ? 0 : POLL_MS);

        if (ready > 0)
            status = type(path, &over, &ended);
        if (status == STATUS_OK)
            status = fetch(path, &next, &got);
    }
    return status;
}

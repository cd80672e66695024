/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor keeps little of a trace, so this takes it while it is made. After Ctrl-C, or if the file cannot be
 * written, the trace is ended at the hypervisor, too: it would keep the guest's dirty log in use. */
#include "tools/godwit/dirty_trace.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATH 512
#define EVERY "100" /* ms */
#define FOR "10"    /* s */
#define RETRY_MS 200
#define RETRIES 50 /* 10 s, after which the hypervisor ends a trace that nobody takes */
#define WAIT_S 1   /* for news; so soon Ctrl-C is noticed */

struct options {
    const char *vm, *every, *length, *file;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static bool usage(void)
{
    fprintf(stderr, "usage: godwit dirty-trace " DIRTY_TRACE_USAGE "\n");
    return false;
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 0; i < argc; i++) {
        const char **value = !strcmp(argv[i], "--every") ? &o->every
                             : !strcmp(argv[i], "--for") ? &o->length
                             : !strcmp(argv[i], "-o")    ? &o->file
                                                         : NULL;

        if (value && ++i == argc)
            return usage();
        if (!value && (o->vm || argv[i][0] == '-'))
            return usage();
        *(value ? value : &o->vm) = argv[i];
    }
    return o->vm && o->file ? true : usage();
}

/* *number: of the trace that has begun. */
static enum status begin(const struct options *o, long long *number)
{
    char *vm = client_quote(o->vm), *every = client_quote(o->every), *length = client_quote(o->length), path[PATH];
    struct reply reply;
    json_t *json;

    snprintf(path, PATH, "/v1/vms/%s/dirty-trace?every=%s&for=%s", vm, every, length);
    free(vm);
    free(every);
    free(length);
    reply = client_request(path, "", 0);
    json = reply_json(&reply);
    *number = json_integer_value(json_object_get(json, "number"));
    json_decref(json);
    reply_free(&reply);
    return reply.status;
}

static void stop(void)
{
    struct reply reply = client_try("/v1/dirty-trace-stop", "", 0);

    reply_free(&reply);
}

/* Ask for bytes. A hypervisor that has no place for another request has one soon, so its refusal counts only if it
 * stays. */
static struct reply ask(long long number, unsigned long offset)
{
    const struct timespec pause = { .tv_nsec = RETRY_MS * 1000000L };
    char path[PATH];

    snprintf(path, PATH, "/v1/dirty-trace-data?number=%lld&offset=%lu&wait=%d", number, offset, WAIT_S);
    for (unsigned tries = 0;; tries++) {
        struct reply reply = client_try(path, "", 0);

        if ((reply.http != 429 && reply.http != 503) || tries == RETRIES) {
            if (reply.http && reply.status != STATUS_OK)
                reply_explain(&reply);
            return reply;
        }
        reply_free(&reply);
        nanosleep(&pause, NULL);
    }
}

/* Take the bytes that there are, or wait for some. *offset: how many there were before. */
static enum status take(FILE *file, long long number, unsigned long *offset, bool *ended)
{
    struct reply reply = ask(number, *offset);
    enum status status = reply.status;

    if (status == STATUS_OK && reply.from != *offset) {
        fprintf(stderr, "godwit: somebody else takes bytes of this trace, too: the file is not whole\n");
        status = STATUS_FAILED;
    } else if (status == STATUS_OK && fwrite(reply.body ? reply.body : "", 1, reply.len, file) != reply.len) {
        fprintf(stderr, "godwit: cannot write: %s\n", strerror(errno));
        status = STATUS_FAILED;
    }
    *offset += reply.len;
    *ended = reply.ended;
    reply_free(&reply);
    return status;
}

static enum status take_all(FILE *file, long long number, unsigned long *bytes)
{
    enum status status = STATUS_OK;
    bool ended = false, told = false;

    while (status == STATUS_OK && !ended) {
        status = take(file, number, bytes, &ended);
        if (interrupted && !told) {
            stop();
            told = true;
        }
    }
    return status;
}

/* Take the trace that has begun into the file. */
static enum status write_file(const char *path, long long number)
{
    FILE *file = fopen(path, "wb");
    unsigned long bytes = 0;
    enum status status = file ? take_all(file, number, &bytes) : STATUS_FAILED;

    if (!file || (fclose(file) && status == STATUS_OK)) {
        fprintf(stderr, "godwit: cannot write %s: %s\n", path, strerror(errno));
        status = STATUS_FAILED;
    }
    if (status == STATUS_OK)
        printf("%lu bytes in %s\n", bytes, path);
    return status;
}

enum status dirty_trace_run(int argc, char **argv)
{
    struct options o = { .every = EVERY, .length = FOR };
    struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART };
    enum status status;
    long long number;

    if (!parse(argc, argv, &o))
        return STATUS_USAGE;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    status = begin(&o, &number);
    if (status != STATUS_OK)
        return status;
    status = write_file(o.file, number);
    if (status != STATUS_OK)
        stop();
    return status;
}

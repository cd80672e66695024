/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor keeps little of a trace, so this takes it while it is made. After Ctrl-C, or if the file cannot be
 * written, the trace is ended at the hypervisor, too: it would keep the guest's dirty log in use. */
#include "tools/godwit/dirty_trace.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH 512
#define EVERY "100" /* ms */
#define FOR "10"    /* s */
#define WAIT_S 1    /* for news; so soon Ctrl-C is noticed */

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

static enum status begin(const struct options *o)
{
    char *vm = client_quote(o->vm), *every = client_quote(o->every), *length = client_quote(o->length), path[PATH];
    struct reply reply;

    snprintf(path, PATH, "/v1/vms/%s/dirty-trace?every=%s&for=%s", vm, every, length);
    free(vm);
    free(every);
    free(length);
    reply = client_request(path, "", 0);
    reply_free(&reply);
    return reply.status;
}

static void stop(void)
{
    struct reply reply = client_try("/v1/dirty-trace-stop", "", 0);

    reply_free(&reply);
}

/* Take the bytes that there are, or wait for some. *offset: how many there were before. */
static enum status take(FILE *file, unsigned long *offset, bool *ended)
{
    char path[PATH];
    struct reply reply;
    enum status status;

    snprintf(path, PATH, "/v1/dirty-trace-data?offset=%lu&wait=%d", *offset, WAIT_S);
    reply = client_request(path, NULL, 0);
    status = reply.status;
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

static enum status take_all(FILE *file, unsigned long *bytes)
{
    enum status status = STATUS_OK;
    bool ended = false, told = false;

    while (status == STATUS_OK && !ended) {
        status = take(file, bytes, &ended);
        if (interrupted && !told) {
            stop();
            told = true;
        }
    }
    return status;
}

enum status dirty_trace_run(int argc, char **argv)
{
    struct options o = { .every = EVERY, .length = FOR };
    struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART };
    unsigned long bytes = 0;
    enum status status;
    FILE *file;

    if (!parse(argc, argv, &o))
        return STATUS_USAGE;
    file = fopen(o.file, "wb");
    if (!file) {
        fprintf(stderr, "godwit: cannot write %s: %s\n", o.file, strerror(errno));
        return STATUS_FAILED;
    }
    sigaction(SIGINT, &action, NULL);
    status = begin(&o);
    if (status == STATUS_OK) {
        status = take_all(file, &bytes);
        if (status == STATUS_FAILED)
            stop();
    }
    if (fclose(file) && status == STATUS_OK) {
        fprintf(stderr, "godwit: cannot write %s: %s\n", o.file, strerror(errno));
        status = STATUS_FAILED;
    }
    if (status == STATUS_OK)
        printf("%lu bytes in %s\n", bytes, o.file);
    return status;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The time of a shutdown runs in the hypervisor, which keeps it if this tool is stopped; the tool asks what has become
 * of the wish. The time of a suspension is the tool's own. */
#include "tools/godwit/shutdown.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_MS 100
#define PATH 512

#define SUSPEND_S 30
#define SUSPEND_MAX_S 3600

struct options {
    const char *command, *usage;
    const char *vm, *timeout;
    bool force, detach;
};

static bool usage(const struct options *o, const char *what, const char *word)
{
    if (what)
        fprintf(stderr, "godwit: %s: %s '%s'\n", o->command, what, word);
    fprintf(stderr, "usage: godwit %s %s\n", o->command, o->usage);
    return false;
}

static bool parse(int argc, char **argv, struct options *o)
{
    bool names = false; /* "--" has come: what follows is a name */

    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];

        if (!names && !strcmp(word, "--"))
            names = true;
        else if (!names && !strcmp(word, "--force"))
            o->force = true;
        else if (!names && !strcmp(word, "--detach"))
            o->detach = true;
        else if (!names && !strcmp(word, "--timeout") && i + 1 < argc)
            o->timeout = argv[++i];
        else if (!names && word[0] == '-')
            return usage(o, "unknown option, or one without its value:", word);
        else if (!o->vm)
            o->vm = word;
        else
            return usage(o, "one argument too many:", word);
    }
    return o->vm ? true : usage(o, NULL, NULL);
}

static enum status ask_shutdown(const struct options *o)
{
    char *vm = client_quote(o->vm), *timeout = client_quote(o->timeout ? o->timeout : ""), path[PATH];
    struct reply reply;

    snprintf(path, sizeof(path), "/v1/vms/%s/shutdown?late=%s%s%s", vm, o->force ? "force" : "leave",
             o->timeout ? "&timeout=" : "", timeout);
    free(vm);
    free(timeout);
    reply = client_request(path, "", 0);
    reply_free(&reply);
    return reply.status;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

/* Say what has become of it. */
static enum status result(const char *name, const json_t *vm)
{
    const json_t *shutdown = json_object_get(vm, "shutdown");
    const char *state = text(shutdown, "state");
    double seconds = json_number_value(json_object_get(shutdown, "ms")) / 1000;

    if (!strcmp(state, "done")) {
        printf("%s has shut down after %.1f s: %s, %s\n", name, seconds, text(vm, "status"), text(vm, "reason"));
        return STATUS_OK;
    }
    if (!strcmp(state, "forced")) {
        printf("%s had not shut down after %.0f s, and was powered off\n", name, seconds);
        return STATUS_OK;
    }
    if (!strcmp(state, "reset"))
        fprintf(stderr, "godwit: %s has started anew instead of shutting down, and runs\n", name);
    else if (!strcmp(state, "late"))
        fprintf(stderr,
                "godwit: %s has not shut down within %.0f s, and runs on: does something in it listen to its power "
                "button?\ngodwit shutdown --force would power it off then, godwit poweroff does so at once\n",
                name, seconds);
    else
        fprintf(stderr, "godwit: %s: it is not known what has become of it, it is %s\n", name, text(vm, "status"));
    return STATUS_FAILED;
}

/* Ask until it is known what has become of the wish. */
static enum status watch(const char *name)
{
    const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
    enum status status;
    json_t *vm;

    while ((vm = client_ask("/v1/vms/", name, &status))) {
        if (strcmp(text(json_object_get(vm, "shutdown"), "state"), "asked") != 0)
            break;
        json_decref(vm);
        nanosleep(&pause, NULL);
    }
    if (!vm)
        return status;
    status = result(name, vm);
    json_decref(vm);
    return status;
}

enum status shutdown_run(int argc, char **argv)
{
    struct options o = { .command = "shutdown", .usage = SHUTDOWN_USAGE };
    enum status status;

    if (!parse(argc, argv, &o))
        return STATUS_USAGE;
    status = ask_shutdown(&o);
    return status != STATUS_OK || o.detach ? status : watch(o.vm);
}

/* --- Suspend ---------------------------------------------------------------------------------------------------- */

static enum status ask_suspend(const char *name)
{
    char *vm = client_quote(name), path[PATH];
    struct reply reply;

    snprintf(path, sizeof(path), "/v1/vms/%s/suspend", vm);
    free(vm);
    reply = client_request(path, "", 0);
    reply_free(&reply);
    return reply.status;
}

/* Say what is known of it. */
static enum status say_sleep(const char *name, const char *status, int seconds)
{
    if (!strcmp(status, "suspended")) {
        printf("%s sleeps; godwit resume %s wakes it\n", name, name);
        return STATUS_OK;
    }
    if (!strcmp(status, "running"))
        fprintf(stderr,
                "godwit: %s has not gone to sleep within %d s: does something in it listen to its sleep button? (If it "
                "sleeps by s2idle, that does not show.)\n",
                name, seconds);
    else
        fprintf(stderr, "godwit: %s has not gone to sleep, it is %s\n", name, status);
    return STATUS_FAILED;
}

/* Ask until it sleeps, has ended, or the time is over. */
static enum status watch_sleep(const char *name, int seconds)
{
    const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
    time_t ends = time(NULL) + seconds;
    enum status status;
    json_t *vm;

    while ((vm = client_ask("/v1/vms/", name, &status))) {
        if (strcmp(text(vm, "status"), "running") != 0 || time(NULL) >= ends)
            break;
        json_decref(vm);
        nanosleep(&pause, NULL);
    }
    if (!vm)
        return status;
    status = say_sleep(name, text(vm, "status"), seconds);
    json_decref(vm);
    return status;
}

enum status suspend_run(int argc, char **argv)
{
    struct options o = { .command = "suspend", .usage = SUSPEND_USAGE };
    enum status status;
    char *end = "";
    long seconds;

    if (!parse(argc, argv, &o) || o.force) {
        if (o.force)
            usage(&o, "unknown option", "--force");
        return STATUS_USAGE;
    }
    seconds = o.timeout ? strtol(o.timeout, &end, 10) : SUSPEND_S;
    if (seconds < 1 || seconds > SUSPEND_MAX_S || *end) {
        usage(&o, "--timeout: expected 1 to 3600 seconds, not", o.timeout);
        return STATUS_USAGE;
    }
    status = ask_suspend(o.vm);
    return status != STATUS_OK || o.detach ? status : watch_sleep(o.vm, seconds);
}

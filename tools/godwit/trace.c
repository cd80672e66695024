/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In a file for Perfetto each event is an instant on its vcpu's track. The names of tracks stand behind the events. The
 * format is described in the document "Trace Event Format" of the Chromium project: `ph` is the event's type, `ts` is
 * in microseconds.
 */
#include "tools/godwit/trace.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/godwit/show.h"

#define PATH 512
#define COUNT_MOST "1000" /* as many as the hypervisor gives at once */
#define PID 1             /* the VM is the file's only process */
#define VCPU_MAX 255      /* an answer that names more is not believed */

struct options {
    const char *vm, *kinds, *count, *chrome;
};

static bool usage(void)
{
    fprintf(stderr, "usage: godwit trace " TRACE_USAGE "\n");
    return false;
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 0; i < argc; i++) {
        const char **value = !strcmp(argv[i], "--kinds")    ? &o->kinds
                             : !strcmp(argv[i], "--count")  ? &o->count
                             : !strcmp(argv[i], "--chrome") ? &o->chrome
                                                            : NULL;

        if (value && ++i == argc)
            return usage();
        if (!value && (o->vm || argv[i][0] == '-'))
            return usage();
        *(value ? value : &o->vm) = argv[i];
    }
    return o->vm ? true : usage();
}

static struct reply ask(const struct options *o)
{
    char *vm = client_quote(o->vm), *kinds = client_quote(o->kinds ? o->kinds : "all");
    char *count = client_quote(o->count ? o->count : COUNT_MOST), path[PATH];

    snprintf(path, PATH, "/v1/vms/%s/trace?kinds=%s", vm, kinds);
    if (o->count || o->chrome)
        snprintf(path + strlen(path), PATH - strlen(path), "&count=%s", count);
    free(vm);
    free(kinds);
    free(count);
    return client_request(path, NULL, 0);
}

static void add_name(json_t *events, const char *what, json_int_t vcpu, const char *name)
{
    json_array_append_new(events, json_pack("{s:s, s:s, s:i, s:I, s:{s:s}}", "name", what, "ph", "M", "pid", PID, "tid",
                                            vcpu, "args", "name", name));
}

static void add_event(json_t *events, const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "event"));
    const char *category = name && !strcmp(name, "turn") ? "turn" : "exit";

    json_array_append_new(events,
                          json_pack("{s:s, s:s, s:s, s:s, s:O, s:i, s:O, s:{s:O}}", "name", name, "cat", category, "ph",
                                    "i", "s", "t", "ts", json_object_get(event, "us"), "pid", PID, "tid",
                                    json_object_get(event, "vcpu"), "args", "rip", json_object_get(event, "rip")));
}

/* The file's contents: names for the tracks, then the events. */
static json_t *chrome(const char *vm, json_t *answer)
{
    json_t *events = json_array(), *event;
    json_int_t last = 0;
    size_t i;

    json_array_foreach(json_object_get(answer, "events"), i, event)
    {
        json_int_t vcpu = json_integer_value(json_object_get(event, "vcpu"));

        last = vcpu > last && vcpu <= VCPU_MAX ? vcpu : last;
        add_event(events, event);
    }
    add_name(events, "process_name", 0, vm);
    for (json_int_t vcpu = 0; vcpu <= last; vcpu++) {
        char name[32];

        snprintf(name, sizeof(name), "vcpu %lld", (long long)vcpu);
        add_name(events, "thread_name", vcpu, name);
    }
    return json_pack("{s:o, s:s}", "traceEvents", events, "displayTimeUnit", "ns");
}

static enum status write_chrome(const struct options *o, struct reply *reply)
{
    json_t *answer = reply_json(reply), *file;
    enum status status = STATUS_OK;

    if (!answer)
        return reply->status;
    file = chrome(o->vm, answer);
    if (!json_is_array(json_object_get(answer, "events"))) {
        fprintf(stderr, "godwit: the answer is not a trace\n");
        status = STATUS_FAILED;
    } else if (json_dump_file(file, o->chrome, JSON_COMPACT)) {
        fprintf(stderr, "godwit: cannot write %s: %s\n", o->chrome, strerror(errno));
        status = STATUS_FAILED;
    } else {
        printf("%zu events in %s\n", json_array_size(json_object_get(answer, "events")), o->chrome);
    }
    json_decref(answer);
    json_decref(file);
    return status;
}

enum status trace_run(int argc, char **argv, bool as_json)
{
    struct options o = { NULL };
    struct reply reply;

    if (!parse(argc, argv, &o))
        return STATUS_USAGE;
    reply = ask(&o);
    if (reply.status == STATUS_OK)
        reply.status = o.chrome ? write_chrome(&o, &reply) : show(&reply, as_json);
    reply_free(&reply);
    return reply.status;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command that shows what the processors have traced of one virtual machine.
 *
 * The rings are read while their CPUs write them, so each is walked from its newest event back, until enough events are
 * found or an event is no longer kept. The walk takes the newest of all rings each time.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/buffer.h"
#include "control/command.h"
#include "control/commands.h"
#include "control/json.h"
#include "host/asm.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/trace.h"
#include "hv/vm.h"

#define EVENTS_DEFAULT 50
#define EVENT_JSON 128 /* bytes of an event, at most */
#define TURN "turn"
#define ALL "all"

_Static_assert(TRACE_ANSWER *EVENT_JSON < BUFFER_MAX, "the longest answer has room");

struct wanted {
    u32 vm;
    const char *kinds; /* names with commas between them; NULL: all */
};

/* Where the walk stands in the ring of a CPU: at `event`, whose number is `number`. */
struct cursor {
    const struct trace_ring *ring;
    u64 number;
    struct trace_event event;
    bool ended;
};

/* Is the name one of the list? */
static bool list_has(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (!strncmp(at, name, len) && (!at[len] || at[len] == ','))
            return true;
    }
    return false;
}

/* Is the word [word, word + len) the name of a kind of event? */
static bool kind_known(const char *word, size_t len)
{
    for (unsigned kind = 0; kind < NR_EXITS; kind++) {
        const char *name = exit_handlers[kind].name;

        if (strlen(name) == len && !strncmp(name, word, len))
            return true;
    }
    return len == strlen(TURN) && !strncmp(TURN, word, len);
}

static int refuse_kind(struct call *call, const char *word, size_t len)
{
    char all[280] = TURN;

    for (unsigned kind = 0; kind < NR_EXITS; kind++)
        snprintf(all + strlen(all), sizeof(all) - strlen(all), ", %s", exit_handlers[kind].name);
    return call_fail(call, -EINVAL, "kinds: '%.*s' is wrong, expected all, %s", (int)MIN(len, (size_t)32), word, all);
}

static int check_kinds(struct call *call, const char *kinds)
{
    for (const char *word = kinds;; word++) {
        size_t len = strcspn(word, ",");

        if (!kind_known(word, len))
            return refuse_kind(call, word, len);
        word += len;
        if (!*word)
            return 0;
    }
}

/* Go back to the next event that is wanted. */
static void cursor_back(struct cursor *cursor, const struct wanted *wanted)
{
    const struct trace_event *event = &cursor->event;

    while (cursor->number > 0 && trace_read(cursor->ring, --cursor->number, &cursor->event))
        if (event->vcpu >> 8 == wanted->vm && (!wanted->kinds || list_has(wanted->kinds, event->what)))
            return;
    cursor->ended = true;
}

/* The cursor at the newest event, or NULL: all have ended. */
static struct cursor *cursor_newest(struct cursor *cursors, u32 count)
{
    struct cursor *newest = NULL;

    for (struct cursor *c = cursors; c < cursors + count; c++)
        if (!c->ended && (!newest || c->event.tsc > newest->event.tsc))
            newest = c;
    return newest;
}

/* Fill events[] with the last ones that are wanted, the newest first; returns how many there are. */
static unsigned collect(const struct wanted *wanted, struct trace_event *events, u64 max)
{
    static struct cursor cursors[MAX_CPUS];
    u32 cpus = cpu_count();
    struct cursor *newest;
    unsigned count = 0;

    for (u32 i = 0; i < cpus; i++) {
        const struct trace_ring *ring = &cpu_at(i)->trace;

        cursors[i] = (struct cursor){ .ring = ring, .number = __atomic_load_n(&ring->next, __ATOMIC_ACQUIRE) };
        cursor_back(&cursors[i], wanted);
    }
    while (count < max && (newest = cursor_newest(cursors, cpus))) {
        events[count++] = newest->event;
        cursor_back(newest, wanted);
    }
    return count;
}

static void put_event(struct json *out, const struct trace_event *event, u64 ns)
{
    json_object(out, NULL);
    json_number(out, "us", ns / 1000);
    json_number(out, "vcpu", event->vcpu & 0xFF);
    json_string(out, "event", event->what);
    json_format(out, "rip", "%#lx", (unsigned long)event->detail);
    json_close(out);
}

int command_trace(struct call *call)
{
    static struct trace_event events[TRACE_ANSWER];
    struct wanted wanted = { .vm = call->arg[0].vm->id, .kinds = call->arg[1].text };
    u64 tsc, ns;
    unsigned count;
    int err;

    if (wanted.kinds && !strcmp(wanted.kinds, ALL))
        wanted.kinds = NULL;
    err = wanted.kinds ? check_kinds(call, wanted.kinds) : 0;
    if (err)
        return err;
    count = collect(&wanted, events, call->arg[2].given ? call->arg[2].number : EVENTS_DEFAULT);
    tsc = rdtsc();
    ns = clock_ns();
    json_array(call->out, "events");
    while (count-- > 0)
        put_event(call->out, &events[count], ns - clock_ticks_to_ns(tsc - MIN(tsc, events[count].tsc)));
    json_close(call->out);
    return 0;
}

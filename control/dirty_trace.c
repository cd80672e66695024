/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log is on all the while. When an interval is over, a harvest fills `map`; then the map is written to
 * the stream, a slice at a time and only as far as there is room. The guest runs meanwhile: what it writes is in the
 * log, and belongs to the next interval.
 */
#include "control/dirty_trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dirty/vm_dirty.h"
#include "host/asm.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/host_work.h"
#include "hv/vm.h"

#define SLICE 4096         /* words of the map: less than a millisecond */
#define VARINT 10          /* bytes of a number of 64 bits, at most */
#define WORD_BYTES 1024    /* more than the runs of a word take: 32 of them, two numbers each, and their end */
#define BLOCKED_MS 1       /* until we look again whether there is room */
#define END_OF_RUNS "\0\0" /* a gap and a length of 0 */

_Static_assert(WORD_PAGES / 2 * 2 * VARINT < WORD_BYTES, "the runs of a word have room");

static struct dirty_trace current;

/* What only the making of the stream knows. */
static struct {
    u32 vm;              /* vm->id */
    u64 begun, due, end; /* of the interval, and of all; host TSC */
    u64 *map;            /* pages of the interval that are not in the stream yet */
    u64 words, at;       /* of the map; the word that comes next */
    bool writing;        /* the map is being written to the stream */
    bool last;           /* no interval comes after this one */
    bool cut;            /* the stream ends without its end: nobody takes it */
    u64 asked;           /* host TSC of the last dirty_trace_take */
    u64 run, done;       /* pages, counted from the first: the open run's begin; all before `done` is in the stream */
    bool open;           /* a run has begun and may go on in the next word */
    char *ring;          /* byte number n of the stream is ring[n % DIRTY_TRACE_KEPT] */
} making;

/* --- The stream --- */

static u64 room(void)
{
    return DIRTY_TRACE_KEPT - (current.put - current.taken);
}

static void put_bytes(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        making.ring[current.put++ % DIRTY_TRACE_KEPT] = bytes[i];
}

/* Seven bits a byte, the lowest first; bit 7 says that more follow. */
static void put_number(u64 number)
{
    do {
        u8 byte = (u8)((number & 0x7F) | (number > 0x7F ? 0x80 : 0));

        put_bytes((const char *)&byte, 1);
        number >>= 7;
    } while (number);
}

static void put_head(const struct vm *vm)
{
    char head[160];

    put_bytes(head,
              (size_t)snprintf(head, sizeof(head),
                               "godwit-dirty-trace 1 vm=%s pages=%lu page=%lu every-ms=%u for-ms=%u producer=%s\n",
                               vm->name, (unsigned long)(vm->mem.size / PAGE_SIZE), (unsigned long)PAGE_SIZE,
                               current.every_ms, current.for_ms, dirty_producer_name(current.producer)));
}

static void put_interval(u64 now)
{
    put_bytes("I", 1);
    put_number(clock_ticks_to_ns(now - making.begun) / 1000);
    making.writing = true;
    making.at = making.done = 0;
    making.open = false;
}

/* A run of written pages, [making.run, end). */
static void put_run(u64 end)
{
    put_number(making.run - making.done);
    put_number(end - making.run);
    current.pages += end - making.run;
    making.done = end;
    making.open = false;
}

static void put_word(u64 word, u64 first)
{
    for (u64 page = first; page < first + WORD_PAGES; page++, word >>= 1) {
        if ((word & 1) && !making.open) {
            making.run = page;
            making.open = true;
        } else if (!(word & 1) && making.open) {
            put_run(page);
        }
    }
}

/* Turn a slice of the map into runs, as far as there is room. */
static void put_slice(void)
{
    for (unsigned i = 0; i < SLICE && making.at < making.words && room() >= WORD_BYTES; i++) {
        u64 word = making.map[making.at];

        making.map[making.at] = 0;
        if (word || making.open)
            put_word(word, making.at * WORD_PAGES);
        making.at++;
    }
    if (making.at < making.words || room() < WORD_BYTES)
        return;
    if (making.open)
        put_run(making.words * WORD_PAGES);
    put_bytes(END_OF_RUNS, 2);
    current.intervals++;
    making.writing = false;
}

/* --- From interval to interval --- */

static struct vm *traced(void)
{
    list_each (struct vm, vm, vm_list()) {
        if (vm->id == making.vm)
            return vm->mem.dirty.producer == DIRTY_OFF ? NULL : vm;
    }
    return NULL;
}

static void set_reason(const char *reason)
{
    snprintf(current.reason, sizeof(current.reason), "%s", reason);
}

static void finish(void)
{
    if (!making.cut) {
        put_bytes("E", 1);
        put_bytes(current.reason, strlen(current.reason));
        put_bytes("\n", 1);
    }
    free(making.map);
    making.map = NULL;
    current.status = DIRTY_TRACE_ENDED;
}

/* Do a part of the harvest with which the interval ends. */
static void harvest(struct vm *vm)
{
    if (!vm_harvest_ready(vm) || !vm_harvest_part(vm, making.map))
        return;
    u64 now = rdtsc();
    put_interval(now);
    making.begun = now;
    making.last = now >= making.end;
    making.due = MIN(now + clock_ns_to_ticks(current.every_ms * NS_PER_MS), making.end);
}

/* There is no room. If nobody seems to take any more, forget what the stream has no room for. */
static u64 blocked(u64 now)
{
    if (now - making.asked >= clock_ns_to_ticks(DIRTY_TRACE_PATIENCE_MS * NS_PER_MS)) {
        set_reason("nobody took it");
        making.writing = false;
        making.last = making.cut = true;
    }
    return now + clock_ns_to_ticks(BLOCKED_MS * NS_PER_MS);
}

/* The guest has ended: so does the interval, as the last one. */
static void end_with_guest(u64 now)
{
    if (now < making.end)
        set_reason("the guest has ended");
    making.end = making.due = MIN(making.end, now);
}

/* One step; returns the host TSC of the next one. */
static u64 step(u64 now)
{
    struct vm *vm = traced();

    if (vm && !vm_alive(vm))
        end_with_guest(now);
    if (making.writing && room() < WORD_BYTES)
        return blocked(now);
    if (making.writing) {
        put_slice();
    } else if (!vm) {
        set_reason("its log was ended");
        finish();
    } else if (making.last) {
        if (vm_dirty_stop_part(vm))
            finish();
    } else if (now >= making.due) {
        harvest(vm);
    } else {
        return making.due;
    }
    return now;
}

/* Host work. */
static u64 watch(void)
{
    return current.status == DIRTY_TRACE_TRACING ? step(rdtsc()) : ~0ULL;
}

/* --- For others --- */

/* What is needed to make the stream of a VM with so many words in a map. */
static int prepare(u64 words)
{
    making.ring = making.ring ?: malloc(DIRTY_TRACE_KEPT);
    making.map = calloc(words, sizeof(u64));
    making.words = words;
    return making.ring && making.map ? 0 : -ENOMEM;
}

int dirty_trace_start(struct vm *vm, u32 every_ms, u32 for_ms)
{
    static bool watching;
    enum dirty_producer producer = vm->npt.format.dirty ? DIRTY_DBIT : DIRTY_WRITE_PROTECT;
    int rc;

    if (current.status == DIRTY_TRACE_TRACING)
        return -EBUSY;
    if (!every_ms || !for_ms)
        return -EINVAL;
    rc = prepare(dirty_words(&vm->mem));
    rc = rc ?: vm_dirty_start(vm, producer, DIRTY_SPLIT_LAZY);
    if (rc) {
        free(making.map);
        making.map = NULL;
        return rc;
    }
    if (!watching)
        host_work_add(watch);
    watching = true;
    current = (struct dirty_trace){ .status = DIRTY_TRACE_TRACING,
                                    .number = current.number + 1,
                                    .producer = producer,
                                    .every_ms = every_ms,
                                    .for_ms = for_ms,
                                    .reason = "whole" };
    snprintf(current.vm, sizeof(current.vm), "%s", vm->name);
    making.vm = vm->id;
    making.writing = making.last = making.cut = false;
    making.begun = making.asked = rdtsc();
    making.end = making.begun + clock_ns_to_ticks(for_ms * NS_PER_MS);
    making.due = MIN(making.begun + clock_ns_to_ticks(every_ms * NS_PER_MS), making.end);
    put_head(vm);
    return 0;
}

int dirty_trace_stop(void)
{
    if (current.status != DIRTY_TRACE_TRACING)
        return -EINVAL;
    making.end = making.due = rdtsc();
    set_reason("stopped");
    return 0;
}

const struct dirty_trace *dirty_trace_query(void)
{
    return &current;
}

void dirty_trace_take(u64 offset)
{
    making.asked = rdtsc();
    current.taken = MAX(current.taken, MIN(offset, current.put));
}

size_t dirty_trace_read(u64 *offset, char *bytes, size_t room)
{
    size_t count;

    *offset = MIN(MAX(*offset, current.taken), current.put);
    count = (size_t)MIN(current.put - *offset, (u64)room);
    for (size_t i = 0; i < count; i++)
        bytes[i] = making.ring[(*offset + i) % DIRTY_TRACE_KEPT];
    return count;
}

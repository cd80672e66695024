/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "clock"
#include "host/calibrate.h"

#include <errno.h>

#include "host/bits.h"
#include "host/log.h"
#include "host/panic.h"

#define ROUND_PART 40       /* a round takes this part of a second: 25 ms */
#define READINGS 5          /* the shortest of them counts: a long one has most likely lost time */
#define ROUNDS 50           /* at most; one or two are enough, unless the emulator's host is overloaded */
#define ROUND_POLLS 1000000 /* many times more than a round can take */
#define STILL_POLLS 20000   /* without a change: the counter is dead. The slowest tick is 1 us */
#define GOOD_ENOUGH 10000   /* stop when the error is below 100 ppm: then two machines differ by less than 250 */
#define AGREE 4000          /* 250 ppm */

#define UNKNOWN (1ULL << 62) /* Hz, more than any */

/* The range in which the TSC's frequency is known to lie. */
struct range {
    const char *name;
    u64 least, most; /* Hz */
};

static u64 duration(const struct reading *reading)
{
    return reading->after - reading->before;
}

/* The shortest of a few readings. False: one of them failed. */
static bool read_well(const struct reference *reference, struct reading *best)
{
    for (int i = 0; i < READINGS; i++) {
        struct reading reading;

        if (!reference->read(&reading))
            return false;
        if (i == 0 || duration(&reading) < duration(best))
            *best = reading;
    }
    return true;
}

static u64 ticks_between(const struct reference *reference, const struct reading *from, const struct reading *to)
{
    return (to->count - from->count) & reference->mask;
}

/* Wait for `wanted` ticks. Returns 0, -EAGAIN or -ENODEV like round_measure. */
static int wait(const struct reference *reference, const struct reading *from, u64 wanted)
{
    u64 last = 0;

    for (unsigned polls = 0, still = 0; polls < ROUND_POLLS && still < STILL_POLLS; polls++) {
        struct reading reading;

        if (!reference->read(&reading))
            return -EAGAIN;

        u64 ticks = ticks_between(reference, from, &reading);

        if (ticks >= wanted)
            return 0;
        still = ticks == last ? still + 1 : 0;
        last = ticks;
    }
    return -ENODEV;
}

/* Measure the TSC's frequency in one round. Returns 0, -EAGAIN (the round failed), or -ENODEV (no tick came). */
static int round_measure(const struct reference *reference, struct range *range)
{
    struct reading from, to;
    u64 ticks;
    int err;

    if (reference->start && !reference->start())
        return -ENODEV;
    if (!read_well(reference, &from))
        return -EAGAIN;
    err = wait(reference, &from, reference->hz / ROUND_PART);
    if (err)
        return err;
    if (!read_well(reference, &to))
        return -EAGAIN;
    ticks = ticks_between(reference, &from, &to);
    /* The counter has wrapped, or the count that ended the wait was misread: the rest may be too small to divide by. */
    if (ticks < reference->hz / ROUND_PART)
        return -EAGAIN;
    /* The readings may be just behind a tick or just before the next. */
    range->least = (to.before - from.after) * reference->hz / (ticks + 1);
    range->most = (to.after - from.before) * reference->hz / (ticks - 1);
    return 0;
}

static u64 middle(const struct range *range)
{
    return (range->least + range->most) / 2;
}

static bool is_vague(const struct range *range)
{
    return range->most - range->least > middle(range) / GOOD_ENOUGH * 2;
}

/* Keep the range that both allow. If they contradict each other, a round was disturbed, and the last one counts. */
static void narrow(struct range *known, const struct range *now)
{
    u64 least = MAX(known->least, now->least), most = MIN(known->most, now->most);

    known->least = least <= most ? least : now->least;
    known->most = least <= most ? most : now->most;
}

/* Measure with one reference. False: it doesn't count. */
static bool measure(const struct reference *reference, struct range *known)
{
    assert(reference->hz <= CALIBRATE_MAX_HZ);
    *known = (struct range){ reference->name, 0, UNKNOWN };
    for (int i = 0; i < ROUNDS && is_vague(known); i++) {
        struct range now;
        int err = round_measure(reference, &now);

        if (err == -ENODEV)
            return false;
        if (!err)
            narrow(known, &now);
    }
    return known->most != UNKNOWN;
}

static bool agree(const struct range *a, const struct range *b)
{
    return a->least <= b->most + b->most / AGREE && b->least <= a->most + a->most / AGREE;
}

static struct calibration result(const struct range *range, const char *confirmed)
{
    return (struct calibration){
        .hz = middle(range),
        .error = (range->most - range->least) / 2,
        .source = range->name,
        .confirmed = confirmed,
    };
}

/* A statement may describe another machine (Bochs), or be rounded; two counters that disagree are a fault. */
static void report_disagreement(const struct range *a, const struct range *b)
{
    if (a->least == a->most)
        pr_info("%s states %lu kHz, which the %s does not confirm", a->name, middle(a) / 1000, b->name);
    else
        pr_warn("the TSC counts %lu kHz by %s, %lu kHz by %s", middle(a) / 1000, a->name, middle(b) / 1000, b->name);
}

/* The first of the earlier sources that the last one confirms; NULL: none. */
static const struct range *find_agreeing(const struct range *ranges, unsigned last)
{
    for (unsigned i = 0; i < last; i++) {
        if (agree(&ranges[i], &ranges[last]))
            return &ranges[i];
        report_disagreement(&ranges[i], &ranges[last]);
    }
    return NULL;
}

struct calibration calibrate(u64 stated_hz, const struct reference *references, unsigned count)
{
    struct range ranges[CALIBRATE_REFERENCES + 1] = { { "CPUID", stated_hz, stated_hz } };
    unsigned stated = stated_hz != 0, known = stated;

    assert(count <= CALIBRATE_REFERENCES);
    for (unsigned i = 0; i < count; i++) {
        const struct range *first;

        if (!measure(&references[i], &ranges[known])) {
            pr_warn("the %s doesn't count", references[i].name);
            continue;
        }
        first = find_agreeing(ranges, known);
        if (first)
            return result(first, ranges[known].name);
        known++;
    }
    if (known == 0)
        return (struct calibration){ 0 };
    /* A measurement is worth more than a statement. */
    return result(&ranges[known > stated ? stated : 0], NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * replay: make a move of a guest whose writes were traced (godwit dirty-trace), without a machine: the hypervisor's own
 * policy, or yours, decides after each round. docs/dirty-trace.md says what is modelled and what is not.
 *
 * A round that takes t sends what the round before left, and leaves what the trace says was written in the next t. Of
 * an interval that a round takes in part, the same part of its pages counts, from the first on.
 */
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "policy/predict.h"
#include "stream/wire.h"

#define ROUNDS_MAX 1000
#define PAGES_MAX (1ULL << 28)
#define US_PER_S 1000000.0
#define PAGE_BYTES (WIRE_PAGE + sizeof(struct wire_page))
#define BITS_PER_MBIT 1e6

typedef enum policy_verdict decide_fn(const struct policy_settings *, const struct policy_stats *,
                                      struct policy_prediction *);

struct run {
    uint64_t first, count; /* pages */
};

struct interval {
    double us;
    uint64_t pages;
    struct run *run;
    size_t runs;
};

struct trace {
    uint64_t pages; /* of the guest's RAM */
    struct interval *interval;
    size_t intervals;
    bool whole; /* it has its end */
};

/* Where the guest is in the trace: in interval `index`, of which `part` is over. */
struct position {
    size_t index;
    double part;
};

struct options {
    const char *file, *policy;
    double mbit, burst_kb, fixed_ms, rtt_ms, at_s;
    uint64_t used; /* pages with contents at the beginning; 0: all */
    bool csv, predict;
    struct policy_settings settings;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "replay: %s: %s\n", what, why);
    exit(1);
}

static void *grown(void *old, size_t count, size_t size)
{
    void *new = count &(count - 1) ? old : realloc(old, (count ? 2 * count : 1) * size);

    if (!new)
        fail("memory", strerror(ENOMEM));
    return new;
}

/* --- The trace --- */

/* False: the file ends before the number does. */
static bool read_number(FILE *file, const char *path, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        int c = getc(file);

        if (c == EOF)
            return false;
        if (shift == 63 && c > 1)
            break;
        *value |= (uint64_t)(c & 0x7F) << shift;
        if (!(c & 0x80))
            return true;
    }
    fail(path, "a number has more than 64 bits: this is no trace");
    return false;
}

/* False: the file ends before the interval does. */
static bool read_interval(FILE *file, const char *path, uint64_t pages, struct interval *in)
{
    uint64_t page = 0, gap, count, us;

    *in = (struct interval){ 0 };
    if (!read_number(file, path, &us))
        return false;
    in->us = (double)us;
    while (read_number(file, path, &gap) && read_number(file, path, &count)) {
        if (!count)
            return true;
        if (gap > pages - page || count > pages - page - gap)
            fail(path, "a page is beyond the guest's memory: this is no trace");
        page += gap;
        in->run = grown(in->run, in->runs, sizeof(*in->run));
        in->run[in->runs++] = (struct run){ page, count };
        in->pages += count;
        page += count;
    }
    return false;
}

static struct trace read_trace(const char *path)
{
    struct trace trace = { .pages = 0 };
    FILE *file = fopen(path, "rb");
    int kind;

    if (!file)
        fail(path, strerror(errno));
    if (fscanf(file, "godwit-dirty-trace 1 vm=%*s pages=%" SCNu64, &trace.pages) != 1)
        fail(path, "expected a file of godwit dirty-trace");
    if (!trace.pages || trace.pages > PAGES_MAX)
        fail(path, "pages is wrong, expected 1 to a TiB of them");
    while ((kind = getc(file)) != EOF && kind != '\n')
        ;
    /* Of a file that was cut off in the middle of an interval, those before it count. */
    while ((kind = getc(file)) == 'I') {
        trace.interval = grown(trace.interval, trace.intervals, sizeof(*trace.interval));
        if (!read_interval(file, path, trace.pages, &trace.interval[trace.intervals]))
            break;
        trace.intervals++;
    }
    if (kind != 'E' && kind != EOF && !feof(file))
        fail(path, "expected an interval: this is no trace");
    trace.whole = kind == 'E';
    fclose(file);
    if (!trace.intervals)
        fail(path, "there is no interval in it");
    return trace;
}

/* --- The guest --- */

/* Mark the pages [from, to) of an interval, counted among those that it has. */
static void mark(u8 *dirty, const struct interval *in, uint64_t from, uint64_t to)
{
    uint64_t before = 0;

    for (size_t i = 0; i < in->runs && before < to; i++) {
        for (uint64_t k = MAX(from, before); k < MIN(to, before + in->run[i].count); k++)
            dirty[in->run[i].first + k - before] = 1;
        before += in->run[i].count;
    }
}

/* The guest runs for so long; *dirty (a byte a page) gets what it writes. False: the trace is over before. */
static bool guest_runs(const struct trace *trace, struct position *at, double us, u8 *dirty)
{
    while (us > 0) {
        const struct interval *in = &trace->interval[at->index];
        double part, left;

        if (at->index == trace->intervals)
            return false;
        left = in->us * (1 - at->part);
        part = left <= us ? 1 : at->part + us / in->us;
        mark(dirty, in, (uint64_t)(at->part * (double)in->pages), (uint64_t)(part * (double)in->pages));
        us -= left <= us ? left : us;
        *at = part < 1 ? (struct position){ at->index, part } : (struct position){ at->index + 1, 0 };
    }
    return true;
}

/* The guest has written *dirty in a round that left *hot behind. Its bytes become the pages that the next round sends,
 * and *hot those that wait for the last one; *written remembers. Counts into *round. */
static void hold_hot(u8 *dirty, u8 *hot, u8 *written, uint64_t pages, struct policy_round *round)
{
    for (uint64_t i = 0; i < pages; i++) {
        u8 now = dirty[i];

        round->kept += hot[i] & !now;
        dirty[i] |= hot[i];
        hot[i] = now & written[i];
        written[i] = now;
        dirty[i] &= !hot[i];
        round->hot += hot[i];
    }
}

static uint64_t count_pages(const u8 *dirty, uint64_t pages)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < pages; i++)
        count += dirty[i];
    return count;
}

/* --- The move --- */

struct outcome {
    struct policy_round round[ROUNDS_MAX];
    u32 throttle[ROUNDS_MAX]; /* percent, in the round */
    struct policy_stats stats;
    struct policy_prediction prediction;
    enum policy_verdict verdict;
    uint64_t left;     /* pages for the downtime */
    u8 *hot, *written; /* a byte a page: it waits for the last round; the last round has seen it written. NULL: none */
    double saved; /* bytes that the link takes at once: what it could have carried in a pause, --burst-kb at most */
};

/* How long the link takes for so many bytes. */
static double carry_us(const struct options *o, double bytes)
{
    return bytes * 8 / (o->mbit * BITS_PER_MBIT) * US_PER_S;
}

/* How long sending so many pages takes, what is saved up apart. */
static double send_us(const struct options *o, const struct outcome *out, uint64_t pages)
{
    return carry_us(o, MAX((double)(pages * PAGE_BYTES) - out->saved, 0));
}

/* So many pages are sent, and then the link rests for a round trip. */
static void link_sends(const struct options *o, struct outcome *out, uint64_t pages)
{
    double rest = o->rtt_ms * 1000 / carry_us(o, 1);

    out->saved = MIN(MAX(out->saved - (double)(pages * PAGE_BYTES), 0) + rest, o->burst_kb * 1024);
}

/* One live round. False: the trace is over. */
static bool live_round(const struct options *o, const struct trace *trace, struct position *at, u8 *dirty,
                       struct outcome *out)
{
    bool first = !out->stats.rounds;
    struct policy_round *round = &out->round[out->stats.rounds];
    uint64_t pages = first ? (o->used ? o->used : out->left) : out->left - round[-1].hot;
    double us = send_us(o, out, pages) + o->rtt_ms * 1000;

    link_sends(o, out, pages);
    memset(dirty, 0, trace->pages);
    if (!guest_runs(trace, at, us * (100 - out->stats.throttle) / 100, dirty))
        return false;
    out->throttle[out->stats.rounds] = out->stats.throttle;
    *round = (struct policy_round){
        .pages = pages,
        .zero = first ? trace->pages - pages : 0,
        .dirtied = count_pages(dirty, trace->pages),
        .bytes = pages * PAGE_BYTES,
        .us = (u64)us,
    };
    if (o->settings.hot_last)
        hold_hot(dirty, out->hot, out->written, trace->pages, round);
    out->left = policy_left(round);
    out->stats.rounds++;
    return true;
}

static void move(const struct options *o, const struct trace *trace, decide_fn *decide, struct outcome *out)
{
    u8 *dirty = malloc(trace->pages);
    struct position at = { 0, 0 };

    memset(out, 0, sizeof(*out));
    out->hot = calloc(trace->pages, 1);
    out->written = calloc(trace->pages, 1);
    if (!dirty || !out->hot || !out->written)
        fail("memory", strerror(ENOMEM));
    out->left = trace->pages;
    out->saved = o->burst_kb * 1024;
    out->stats = (struct policy_stats){
        .round = out->round, .total = trace->pages, .page = WIRE_PAGE, .fixed_us = (u64)(o->fixed_ms * 1000)
    };
    if (!guest_runs(trace, &at, o->at_s * US_PER_S, dirty))
        fail(o->file, "the trace is over before --at");
    for (;;) {
        /* The hypervisor asks after each round, and before the first only if there is to be none. */
        out->verdict = POLICY_CONTINUE;
        if (out->stats.rounds || !o->settings.max_rounds)
            out->verdict = decide(&o->settings, &out->stats, &out->prediction);
        if (out->verdict == POLICY_STOP || out->verdict == POLICY_ABORT)
            break;
        if (out->verdict == POLICY_THROTTLE)
            out->stats.throttle = policy_throttle_next(&o->settings.throttle, out->stats.throttle);
        if (out->stats.rounds == ROUNDS_MAX)
            fail("the policy", "it goes on after a thousand rounds");
        if (!live_round(o, trace, &at, dirty, out))
            fail(o->file, trace->whole ? "the trace is over before the move is: trace for longer"
                                       : "the trace has no end, and is over before the move is");
    }
    free(dirty);
    free(out->hot);
    free(out->written);
}

static void show(const struct options *o, const struct outcome *out)
{
    bool stopped = out->verdict == POLICY_STOP;
    double total = 0, downtime = o->fixed_ms * 1000 + send_us(o, out, out->left);
    uint64_t pages = stopped ? out->left : 0;

    puts(o->csv ? "round,pages,dirtied,left,hot,bytes,ms,throttle"
                : "round    pages  dirtied     left      hot       bytes         ms  throttle");
    for (unsigned i = 0; i < out->stats.rounds; i++) {
        const struct policy_round *r = &out->round[i];

        printf(o->csv ? "%u,%lu,%lu,%lu,%lu,%lu,%.1f,%u\n" : "%5u %8lu %8lu %8lu %8lu %11lu %10.1f %8u%%\n", i + 1,
               (unsigned long)r->pages, (unsigned long)r->dirtied, (unsigned long)policy_left(r), (unsigned long)r->hot,
               (unsigned long)r->bytes, (double)r->us / 1000, out->throttle[i]);
        total += (double)r->us;
        pages += r->pages;
    }
    if (o->csv)
        return;
    printf("\nstatus             %s%s\n", stopped ? "completed" : "failed: it does not converge",
           out->prediction.over_limit && stopped ? ", above downtime-limit" : "");
    if (stopped)
        printf("downtime           %.1f ms (expected %.1f)\n", downtime / 1000,
               (double)out->prediction.downtime_us / 1000);
    printf("total-time         %.1f ms\n", (total + (stopped ? downtime : 0)) / 1000);
    printf("transferred        %lu bytes\n", (unsigned long)(pages * PAGE_BYTES));
}

/* --- Before the move --- */

/* The guest is watched as a check does it (migrate/source_measure.c): what it writes in each of four times 50 ms. */
static struct predict_known watch(const struct options *o, const struct trace *trace)
{
    struct policy_watch seen = { .us = 200000, .windows = 4 };
    struct position at = { 0, 0 };
    u8 *dirty = calloc(trace->pages, 1), *times = calloc(trace->pages, 1);
    struct predict_known known = { .pages = trace->pages,
                                   .used = o->used ? o->used : trace->pages,
                                   .rate = (u64)(o->mbit * BITS_PER_MBIT / 8),
                                   .rtt_us = (u64)(o->rtt_ms * 1000),
                                   .fixed_us = (u64)(o->fixed_ms * 1000),
                                   .busy = (u64)US_PER_S,
                                   .page = PAGE_BYTES };

    if (!dirty || !times)
        fail("memory", strerror(ENOMEM));
    if (!guest_runs(trace, &at, o->at_s * US_PER_S, dirty))
        fail(o->file, "the trace is over before --at");
    for (unsigned i = 0; i < seen.windows; i++) {
        memset(dirty, 0, trace->pages);
        if (!guest_runs(trace, &at, (double)seen.us / seen.windows, dirty))
            fail(o->file, "the trace is over before the guest was watched for 0.2 s");
        for (u64 page = 0; page < trace->pages; page++)
            times[page] += dirty[page] != 0;
    }
    for (u64 page = 0; page < trace->pages; page++) {
        seen.pages += times[page] > 0;
        seen.once += times[page] == 1;
        seen.twice += times[page] == 2;
    }
    free(dirty);
    free(times);
    policy_measure(&seen, known.used, &known.dirty_rate, &known.working_set);
    return known;
}

static int predict(const struct options *o, const struct trace *trace)
{
    static const char *const names[] = { "live", "stop-copy", "post-copy", "hybrid", "demand" };
    static struct policy_round room[ROUNDS_MAX];
    struct forecast row[NR_FORECASTS];
    struct predict_known known = watch(o, trace);
    struct policy_settings settings = o->settings;

    settings.max_rounds = MIN(settings.max_rounds, (u32)ROUNDS_MAX);
    predict_modes(&settings, &known, room, row);
    printf("dirty-pages-rate   %lu\nworking-set        %lu pages\n\n", (unsigned long)known.dirty_rate,
           (unsigned long)known.working_set);
    puts("mode         total, ms  downtime, ms  rounds        bytes  slowdown");
    for (unsigned i = 0; i < NR_FORECASTS; i++)
        printf("%-10s %11.1f %13.1f %7u %12lu %8lu%%%s\n", names[i],
               row[i].total_us == ~0ULL ? 0 : (double)row[i].total_us / 1000, (double)row[i].downtime_us / 1000,
               row[i].rounds, (unsigned long)row[i].bytes, (unsigned long)forecast_slowdown(&row[i]),
               row[i].fails        ? "  would fail"
               : row[i].over_limit ? "  above downtime-limit"
                                   : "");
    printf("\nchosen             %s\n", names[predict_choose(row, true)]);
    return 0;
}

/* --- The command line --- */

static const char usage_text[] =
    "usage: build/tools/replay FILE [OPTION...]\n\n"
    "  --mbit N             rate of the link, default 1000\n"
    "  --burst-kb N         KiB that the link takes at once after a pause, default 0\n"
    "  --rtt-ms N           between the end of a round and the answer to it, default 1\n"
    "  --fixed-ms N         downtime that does not depend on memory, default 10\n"
    "  --used N             pages with contents at the beginning; default all\n"
    "  --at S               begin the move so many seconds after the trace\n"
    "  --downtime-limit MS  default 20, as in [migration]; so are the next ones\n"
    "  --max-rounds N       default 20\n"
    "  --on-stall WHAT      stop, abort or throttle; default stop\n"
    "  --hot-pages WHEN     last or each; default last\n"
    "  --policy FILE.so     decide by its function policy_decide (policy/policy.h), made by\n"
    "                       cc -shared -fPIC -I. -o FILE.so FILE.c\n"
    "  --predict            look at the first 0.2 s only, and say what each mode would be (policy/predict.h)\n"
    "  --csv                only the rounds, with commas\n";

static double parse_number(const char *name, const char *text, double least)
{
    char *end;
    double number = strtod(text, &end);

    if (*text && !*end && number >= least && number <= UINT32_MAX)
        return number;
    fprintf(stderr, "replay: --%s: '%s' is wrong, expected a number of at least %g\n", name, text, least);
    exit(2);
}

static enum policy_stall parse_stall(const char *text)
{
    static const char *const names[] = {
        [POLICY_STALL_STOP] = "stop", [POLICY_STALL_ABORT] = "abort", [POLICY_STALL_THROTTLE] = "throttle"
    };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(text, names[i]))
            return (enum policy_stall)i;
    fprintf(stderr, "replay: --on-stall: '%s' is wrong, expected stop, abort or throttle\n", text);
    exit(2);
}

static bool parse_hot_last(const char *text)
{
    if (!strcmp(text, "last") || !strcmp(text, "each"))
        return !strcmp(text, "last");
    fprintf(stderr, "replay: --hot-pages: '%s' is wrong, expected last or each\n", text);
    exit(2);
}

static void set_option(struct options *o, char option, const char *name)
{
    switch (option) {
    case 'm': o->mbit = parse_number(name, optarg, 0.001); break;
    case 'b': o->burst_kb = parse_number(name, optarg, 0); break;
    case 'r': o->rtt_ms = parse_number(name, optarg, 0); break;
    case 'f': o->fixed_ms = parse_number(name, optarg, 0); break;
    case 'u': o->used = (uint64_t)parse_number(name, optarg, 1); break;
    case 'a': o->at_s = parse_number(name, optarg, 0); break;
    case 'd': o->settings.downtime_limit = (u32)parse_number(name, optarg, 1); break;
    case 'n': o->settings.max_rounds = (u32)parse_number(name, optarg, 0); break;
    case 's': o->settings.on_stall = parse_stall(optarg); break;
    case 'k': o->settings.hot_last = parse_hot_last(optarg); break;
    case 'e': o->predict = true; break;
    case 'p': o->policy = optarg; break;
    case 'c': o->csv = true; break;
    case 'h': fputs(usage_text, stdout); exit(0);
    default: fputs(usage_text, stderr); exit(2);
    }
}

static struct options parse(int argc, char **argv)
{
    static const struct option options[] = {
        { "mbit", 1, NULL, 'm' },       { "rtt-ms", 1, NULL, 'r' },   { "fixed-ms", 1, NULL, 'f' },
        { "used", 1, NULL, 'u' },       { "at", 1, NULL, 'a' },       { "downtime-limit", 1, NULL, 'd' },
        { "max-rounds", 1, NULL, 'n' }, { "on-stall", 1, NULL, 's' }, { "policy", 1, NULL, 'p' },
        { "csv", 0, NULL, 'c' },        { "help", 0, NULL, 'h' },     { "burst-kb", 1, NULL, 'b' },
        { "hot-pages", 1, NULL, 'k' },  { "predict", 0, NULL, 'e' },  { NULL, 0, NULL, 0 },
    };
    struct options o = { .mbit = 1000,
                         .fixed_ms = 10,
                         .rtt_ms = 1,
                         .settings = { .downtime_limit = 20,
                                       .max_rounds = 20,
                                       .postcopy_rounds = 1,
                                       .hot_last = true,
                                       .throttle = { .initial = 20, .increment = 10, .max = 99 } } };
    int option, index = 0;

    while ((option = getopt_long(argc, argv, "", options, &index)) != -1)
        set_option(&o, (char)option, options[index].name);
    if (optind + 1 != argc)
        set_option(&o, '?', "");
    o.file = argv[optind];
    return o;
}

static decide_fn *load_policy(const char *path)
{
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    decide_fn *decide = library ? (decide_fn *)dlsym(library, "policy_decide") : path ? NULL : policy_decide;

    if (!decide)
        fail("--policy", dlerror());
    return decide;
}

int main(int argc, char **argv)
{
    static struct outcome outcome;
    struct options o = parse(argc, argv);
    decide_fn *decide = load_policy(o.policy);
    struct trace trace = read_trace(o.file);

    if (o.used > trace.pages)
        fail("--used", "the guest has fewer pages");
    if (o.predict)
        return predict(&o, &trace);
    move(&o, &trace, decide, &outcome);
    show(&o, &outcome);
    return outcome.verdict == POLICY_STOP ? 0 : 1;
}

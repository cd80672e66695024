/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lab: writes for an experiment with the dirty log, which it steers itself (control/dirty_lab.h, docs/lab-dirty.md).
 * It takes each of `logs`; in each of these it makes all `steps`, each of so many rounds. A round's writes are the same
 * under each log. There is no timer, and nothing is printed while a round lasts.
 *
 *     steps=PATTERN:MIB:WRITES[:WORK],...
 *         WRITES a round into a set of so many MiB, with WORK turns of an empty loop before each; PATTERN is seq,
 *         uniform, hot, bytes (one of a page), or spread: each write is 2 MiB behind the last
 *     logs=PRODUCER:TABLES,...
 *         off, write-protect, dbit or pml, and lazy, eager or small: all tables are split before the log starts. All
 *         that there are if it is left out
 *     rounds=N
 *         of each step (default: 3)
 *     compare=step|log
 *         when all of memory is compared: in the last round of each step (default), or of each log
 */
#include "host/bits.h"
#include "control/dirty_lab.h"
#include "mm/dirty.h"
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"

#define SET_BASE MiB(4)
#define WORDS (PAGE_SIZE / 8)
#define WRITE_WORDS 8
#define REGION_PAGES (MiB(2) / PAGE_SIZE)
#define SETTLE 50000 /* turns of an empty loop */
#define KIT_TABLES 6 /* pages, from kit_pml4 on */

const char guest_name[] = "lab";
extern const u8 kit_pml4[];

enum pattern { SEQ, UNIFORM, HOT, BYTES, SPREAD, NR_PATTERNS };

static const char *const patterns[NR_PATTERNS] = { "seq", "uniform", "hot", "bytes", "spread" };
static const char *const producers[] = { "off", "write-protect", "dbit", "pml" };
static const char *const tables[] = { "lazy", "eager", "small" };

struct step {
    enum pattern pattern;
    u64 set, writes, work; /* set in pages */
};

static char logs[400] = "off:lazy,write-protect:lazy,write-protect:eager,write-protect:small,dbit:lazy,dbit:eager,"
                        "dbit:small,pml:lazy,pml:eager,pml:small";
static char steps[480], rounds[8] = "3", compare[8] = "step";
static u64 random_state, writes; /* begin anew with each log */
static u64 serial;               /* of all writes, so that none leaves a page as it was */

/* --- Options --- */

static void wrong(const char *what)
{
    kprintf("wrong: %s\n", what);
    report("the options are right", false);
    report_end();
}

/* The next field of *text, which ends at `stop`; *text moves behind it. */
static char *field(char **text, char stop)
{
    char *start = *text, *at = start;

    while (*at && *at != stop)
        at++;
    *text = *at ? at + 1 : at;
    *at = '\0';
    return start;
}

static unsigned name_find(const char *name, const char *const names[], unsigned number)
{
    for (unsigned i = 0; i < number; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    wrong(name);
    return 0;
}

static u64 number(const char *text)
{
    u64 value = 0;

    for (const char *p = text; *p || p == text; p++) {
        if (*p < '0' || *p > '9' || value > BIT(32))
            wrong(text);
        value = value * 10 + (u64)(*p - '0');
    }
    return value;
}

static struct step step_parse(char *text)
{
    struct step step = { .pattern = name_find(field(&text, ':'), patterns, NR_PATTERNS) };

    step.set = MiB(number(field(&text, ':'))) / PAGE_SIZE;
    step.writes = number(field(&text, ':'));
    step.work = *text ? number(text) : 0;
    if (step.set == 0 || SET_BASE + step.set * PAGE_SIZE > boot_ram_end(GiB(3)))
        wrong("the set does not fit into memory");
    return step;
}

/* --- Writes --- */

/* SplitMix64. */
static u64 random_below(u64 limit)
{
    u64 x = random_state += 0x9E3779B97F4A7C15ULL;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
    return (x ^ x >> 31) % limit;
}

static u64 page_choose(const struct step *step)
{
    switch (step->pattern) {
    case SEQ: return writes % step->set;
    case SPREAD: return (writes * REGION_PAGES + writes * REGION_PAGES / step->set) % step->set;
    case HOT: /* nine writes of ten into a tenth of the pages */
        if (random_below(10) < 9)
            return random_below(MAX(step->set / 10, 1));
        break;
    default: break;
    }
    return random_below(step->set);
}

static void page_write(const struct step *step)
{
    volatile u64 *page = (volatile u64 *)(SET_BASE + page_choose(step) * PAGE_SIZE);

    writes++;
    serial++;
    if (step->pattern == BYTES) {
        volatile u8 *byte = (volatile u8 *)&page[writes % WORDS];

        (*byte)++;
        return;
    }
    for (unsigned i = 0; i < WRITE_WORDS; i++)
        page[(writes * WRITE_WORDS + i) % WORDS] = serial;
}

/* Make the writes of a round. After a command the host loop still has a turn to take: let it, and then read the answer
 * once more, so that the round begins here. */
static void round(const struct step *step)
{
    for (u64 turn = 0; turn < SETTLE; turn++)
        asm volatile("");
    inl(LAB_PORT);
    for (u64 i = 0; i < step->writes; i++) {
        for (u64 turn = 0; turn < step->work; turn++)
            asm volatile("");
        page_write(step);
    }
}

/* --- Commands --- */

static u32 command(u32 value)
{
    u32 answer;

    outl(LAB_PORT, value);
    while ((answer = inl(LAB_PORT)) == LAB_BUSY)
        pause();
    if (answer == ~0U)
        wrong("no experiment is here to steer: dirty-log = guest, and memory for a copy of this guest's");
    return answer;
}

static u32 log_start(char *text)
{
    unsigned producer = name_find(field(&text, ':'), producers, DIRTY_PML + 1), kind = name_find(text, tables, 3);
    u32 split = kind ? DIRTY_SPLIT_EAGER : DIRTY_SPLIT_LAZY;

    kprintf("log %s %s\n", producers[producer], tables[kind]);
    return command(LAB_START | (u32)field_set(LAB_START_PRODUCER, 0, producer) |
                   (u32)field_set(LAB_START_SPLIT, 0, split) | (kind == 2 ? (u32)LAB_START_SMALL : 0));
}

static void step_run(const struct step *step, bool last)
{
    kprintf("step %s set %lu writes %lu work %lu\n", patterns[step->pattern], step->set * PAGE_SIZE / MiB(1),
            step->writes, step->work);
    command(LAB_ROUND); /* what was written since the last round, by the print among others */
    for (u64 left = number(rounds); left; left--) {
        bool compared = left == 1 && (strcmp(compare, "step") == 0 || (last && strcmp(compare, "log") == 0));

        round(step);
        command(LAB_ROUND | (compared ? (u32)LAB_ROUND_COMPARE : 0));
    }
}

static void log_run(char *text)
{
    char copy[sizeof(steps)], *at = copy;

    if (log_start(text)) {
        kprintf("no such log here\n");
        return;
    }
    memcpy(copy, steps, sizeof(copy));
    random_state = writes = 0;
    while (*at) {
        struct step step = step_parse(field(&at, ','));

        step_run(&step, *at == '\0');
    }
    command(LAB_STOP);
}

void guest_main(void)
{
    char *at = logs;

    if (!boot_option("steps", steps, sizeof(steps)))
        wrong("steps= is needed");
    boot_option("logs", logs, sizeof(logs));
    boot_option("rounds", rounds, sizeof(rounds));
    boot_option("compare", compare, sizeof(compare));
    command(LAB_TABLES | (u32)field_set(LAB_TABLES_NUMBER, 0, KIT_TABLES) |
            (u32)field_set(LAB_TABLES_PAGE, 0, (u64)kit_pml4 / PAGE_SIZE));
    while (*at)
        log_run(field(&at, ','));
    report("all logs are done", true);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * writer: dirties memory at a known rate (docs/dirty-log.md, benchmarks). Each timer tick it writes N pages of a set of
 * W; every page carries a sequence number and a sum of its words, all verified at the end. The same options make the
 * same writes.
 *
 *     pages=W rate=N tick=MICROSECONDS ticks=T pattern=sequential|uniform|hot|few words=FOR_EACH_WRITE
 *     say=TICKS fill=1 keep=1 input=N
 *
 * With ticks=0 it goes on until a 'q' is typed on its console. With fill=1 it first writes each page once. Each `say`
 * ticks it says how far it is. With keep=1 it makes up for ticks that it took late, so that it writes as much in a
 * second on a busy machine. With input=N a device writes in each tick, too: a byte into each of N pages behind the set,
 * by string input.
 */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

#define TICK_VECTOR 0x40
#define SET_BASE MiB(4) /* the pages; before them, from 2 MiB on, what they should hold */
#define EXPECTED_BASE MiB(2)
#define WORDS (PAGE_SIZE / 8 - 2)
#define FEW_WORDS 2
#define SAMPLES 8 /* pages named when the end finds them wrong */
#define INPUT_PAGES 64
#define UART_SCR 0x3FF /* keeps the byte that was written to it */

const char guest_name[] = "writer";

struct page {
    u64 sequence; /* writes so far */
    u64 sum;      /* of the words */
    u64 word[WORDS];
};

_Static_assert(sizeof(struct page) == PAGE_SIZE, "a page");

static struct {
    u64 pages, rate, tick_us, ticks, words, say, fill, keep, input;
    char pattern[16];
} options = { .pages = 1024, .rate = 16, .tick_us = 1000, .ticks = 200, .words = WORDS, .pattern = "uniform" };

static struct page *const set = (struct page *)SET_BASE;
static u32 *const expected = (u32 *)EXPECTED_BASE; /* sequence numbers */
static volatile u64 ticks_seen;
static u64 random_state, writes, overruns, inputs;

/* SplitMix64. */
static u64 mix(u64 x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
    return x ^ x >> 31;
}

static u64 random_below(u64 limit)
{
    return mix(random_state += 0x9E3779B97F4A7C15ULL) % limit;
}

static u64 number_option(const char *key, u64 value, u64 min, u64 max)
{
    char text[16];
    u64 number = 0;

    if (!boot_option(key, text, sizeof(text)))
        return value;
    for (const char *p = text; *p; p++)
        number = *p >= '0' && *p <= '9' && number < BIT(40) ? number * 10 + (u64)(*p - '0') : ~0ULL >> 8;
    if (number >= min && number <= max)
        return number;
    report("the options are in range", false);
    report_end();
}

static bool pattern_is(const char *name)
{
    return strcmp(options.pattern, name) == 0;
}

static void options_read(void)
{
    u64 room = boot_ram_end(GiB(3)) < SET_BASE ? 0 : (boot_ram_end(GiB(3)) - SET_BASE) / PAGE_SIZE;

    options.input = number_option("input", options.input, 0, INPUT_PAGES);
    room -= MIN(room, options.input ? INPUT_PAGES : 0);
    options.pages = number_option("pages", options.pages, 1, MIN(room, (SET_BASE - EXPECTED_BASE) / sizeof(*expected)));
    options.rate = number_option("rate", options.rate, 0, 1000000);
    options.tick_us = number_option("tick", options.tick_us, 1, 1000000);
    options.ticks = number_option("ticks", options.ticks, 0, 10000000);
    options.say = number_option("say", options.say, 0, 10000000);
    options.fill = number_option("fill", options.fill, 0, 1);
    options.keep = number_option("keep", options.keep, 0, 1);
    boot_option("pattern", options.pattern, sizeof(options.pattern));
    options.words = number_option("words", pattern_is("few") ? FEW_WORDS : WORDS, 1, WORDS);
    if (pattern_is("sequential") || pattern_is("uniform") || pattern_is("hot") || pattern_is("few"))
        return;
    report("the pattern is known", false);
    report_end();
}

static u64 page_choose(void)
{
    if (pattern_is("sequential"))
        return writes % options.pages;
    if (pattern_is("hot") && random_below(10) < 9) /* nine writes of ten into a tenth of the pages */
        return random_below(MAX(options.pages / 10, 1));
    return random_below(options.pages);
}

/* Other words than last time, at another place of the page if they are few. */
static void page_write(u64 number)
{
    struct page *page = &set[number];
    u64 at = page->sequence * options.words % WORDS, key = number << 32 | ++page->sequence;

    for (u64 i = 0; i < options.words; i++, at = at + 1 == WORDS ? 0 : at + 1) {
        u64 word = mix(key + i * 0x9E3779B97F4A7C15ULL);

        page->sum += word - page->word[at];
        page->word[at] = word;
    }
    expected[number]++;
    writes++;
}

/* The byte that the device has written at last to one of the pages behind the set. */
static u8 *input_byte(u64 count)
{
    return (u8 *)&set[options.pages + count % INPUT_PAGES];
}

static void input_take(void)
{
    void *to = input_byte(inputs);
    u64 count = 1;

    outb(UART_SCR, (u8)mix(inputs));
    asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(UART_SCR) : "memory");
    inputs++;
}

static u64 inputs_wrong(void)
{
    u64 wrong = 0;

    for (u64 i = inputs - MIN(inputs, INPUT_PAGES); i < inputs; i++)
        wrong += *input_byte(i) != (u8)mix(i);
    return wrong;
}

static void tick(struct trap_frame *frame)
{
    (void)frame;
    ticks_seen++;
    lapic_eoi();
}

static bool is_over(u64 done)
{
    return options.ticks ? done == options.ticks : console_key() == 'q';
}

/* Ticks of the timer that have come; to make up for lost ones: that should have come. */
static u64 ticks_due(u64 start)
{
    return options.keep ? clock_us(rdtsc() - start) / options.tick_us : ticks_seen;
}

/* One tick after another, however many of the timer's were lost meanwhile: the work is the same, the time longer,
 * unless they are kept. Returns how many. */
static u64 run(u64 start)
{
    u64 last = 0, done = 0;

    for (; !is_over(done); done++) {
        if (options.say && done % options.say == 0)
            kprintf("%lu ticks in %lu us\n", done, clock_us(rdtsc() - start));
        while (ticks_due(start) == last) {
            sti_hlt();
            cli();
        }
        overruns += options.keep ? 0 : ticks_seen - last - 1;
        last = options.keep ? last + 1 : ticks_seen;
        sti();
        for (u64 i = 0; i < options.rate; i++)
            page_write(page_choose());
        for (u64 i = 0; i < options.input; i++)
            input_take();
        cli();
    }
    return done;
}

static bool page_valid(u64 number)
{
    const struct page *page = &set[number];
    u64 sum = 0;

    for (u64 i = 0; i < WORDS; i++)
        sum += page->word[i];
    return sum == page->sum && page->sequence == expected[number];
}

static u64 pages_wrong(void)
{
    u64 wrong = 0;

    for (u64 number = 0; number < options.pages; number++) {
        if (page_valid(number))
            continue;
        if (wrong++ < SAMPLES)
            kprintf("page %lu is wrong: sequence %lu, expected %u\n", number, set[number].sequence, expected[number]);
    }
    return wrong;
}

void guest_main(void)
{
    u64 start, ticks;

    options_read();
    kprintf("%lu pages of %lu each %lu us, %lu times, %s, %lu words\n", options.rate, options.pages, options.tick_us,
            options.ticks, options.pattern, options.words);
    for (u64 i = 0; options.fill && i < options.pages; i++)
        page_write(i);
    writes = 0;
    trap_handle(TICK_VECTOR, tick);
    lapic_enable();
    lapic_timer(TICK_VECTOR, LVT_PERIODIC, options.tick_us);
    start = rdtsc();
    ticks = run(start);
    lapic_timer_stop();
    kprintf("%lu writes in %lu us, %lu overruns\n", writes, clock_us(rdtsc() - start), overruns);
    report_equal("every page holds what was written to it", pages_wrong(), 0);
    report_equal("no write is lost", writes, options.rate * ticks);
    report_equal("every page holds what the device wrote to it", inputs_wrong(), 0);
}

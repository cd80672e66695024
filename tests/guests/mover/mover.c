/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mover: a guest to move. Each timer tick it writes pages; before a page is written it must hold what the last write
 * left, and all are looked at in the end. It says how it is ten times a second, until a 'q' is typed on its console.
 * Time must not go back, and registers that nothing changes must stay. By the 8254 (tick=20000) it writes as much for
 * ticks that it took late, all of which follow, and also says how many ticks there have been and should have been.
 *
 *     pages=W rate=PAGES_A_TICK tick=MICROSECONDS timer=periodic|deadline|8254
 */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/pic.h"
#include "tests/guests/kit/pit.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "tests/guests/kit/xstate.h"
#include "host/bits.h"

#define TICK_VECTOR 0x40
#define BEAT_US 100000
#define SET_BASE MiB(4) /* the pages */
#define WORDS (PAGE_SIZE / 8)
#define COUNTS_MAX 4096
#define GOLDEN 0x9E3779B97F4A7C15ULL

const char guest_name[] = "mover";

static u64 (*const set)[WORDS] = (u64(*)[WORDS])SET_BASE;
static u64 count[COUNTS_MAX]; /* writes to each page */
static u64 pages = 256, rate = 4, tick_us = 2000;
static u64 random_state, writes, wrong, backwards, last_time, strayed;
static bool by_deadline; /* the timer is set for each tick anew, by the TSC */
static u64 pit_count;    /* ticks of the 8254 to each of ours; 0: the timer is another one */
static u64 ticks_begin;  /* TSC at which the 8254 was started */
static volatile u64 ticks;

/* STAR, LSTAR, FMASK, KERNEL_GS_BASE, SYSENTER_ESP and _EIP, FS_BASE: any canonical value is a value. */
static const u32 msrs[] = { 0xC0000081, 0xC0000082, 0xC0000084, 0xC0000102, 0x175, 0x176, MSR_FS_BASE };

static u64 number_option(const char *key, u64 value, u64 max)
{
    char text[16];
    u64 number = 0;

    if (!boot_option(key, text, sizeof(text)))
        return value;
    for (const char *p = text; *p >= '0' && *p <= '9'; p++)
        number = number * 10 + (u64)(*p - '0');
    return MAX(1, MIN(number, max));
}

/* Word i of a page after its nth write. */
static u64 word_of(u64 page, u64 n, u64 i)
{
    return n ? (page << 32 ^ n << 12 ^ i) * GOLDEN : 0;
}

static void page_check(u64 page)
{
    for (u64 i = 0; i < WORDS; i++) {
        if (set[page][i] == word_of(page, count[page], i))
            continue;
        if (wrong++ == 0)
            kprintf("page %lu is wrong after %lu writes\n", page, count[page]);
        return;
    }
}

static void page_write(void)
{
    u64 page = (random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL) >> 33;

    page %= pages;
    page_check(page);
    count[page]++;
    for (u64 i = 0; i < WORDS; i++)
        set[page][i] = word_of(page, count[page], i);
    writes++;
}

static u64 msr_pattern(u32 i)
{
    return (i + 1) * 0x10203040506ULL;
}

static void registers_set(void)
{
    xstate_pattern(xstate_enable(), 1);
    for (u32 i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
        wrmsr(msrs[i], msr_pattern(i) & (msrs[i] == 0xC0000084 ? BITS(31, 0) : ~0ULL));
    write_dr0(0x123456789ULL);
}

static void registers_check(void)
{
    strayed += !xstate_survived();
    for (u32 i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
        strayed += rdmsr(msrs[i]) != (msr_pattern(i) & (msrs[i] == 0xC0000084 ? BITS(31, 0) : ~0ULL));
    strayed += read_dr0() != 0x123456789ULL;
}

static void deadline_set(void)
{
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + clock_ticks(tick_us));
}

static void tick(struct trap_frame *frame)
{
    (void)frame;
    ticks++;
    if (by_deadline)
        deadline_set();
    if (pit_count)
        pic_eoi(0);
    else
        lapic_eoi();
}

static void time_check(void)
{
    u64 now = rdtsc();

    backwards += now < last_time;
    last_time = now;
}

/* Work for a beat; true if a 'q' was typed. */
static bool beat(void)
{
    static u64 seen; /* ticks for which it has written, or which it has let pass */
    u64 end = rdtsc() + clock_ticks(BEAT_US);

    while (rdtsc() < end) {
        time_check();
        if (console_key() == 'q')
            return true;
        cli();
        if (ticks == seen) {
            sti_hlt();
            continue;
        }
        sti();
        seen = pit_count ? seen + 1 : ticks;
        for (u64 i = 0; i < rate; i++)
            page_write();
    }
    registers_check();
    return false;
}

static void start_8254(void)
{
    pic_init();
    lapic_write(LAPIC_LVT_LINT0, LVT_EXTINT);
    trap_handle(PIC_VECTOR, tick);
    pic_unmask(0);
    pit_count = MIN(tick_us * PIT_HZ / 1000000, 0xFFFF);
    do { /* a guest that does not run in between does not know when the counter began */
        ticks_begin = rdtsc();
        pit_periodic((u16)pit_count);
    } while (rdtsc() - ticks_begin > clock_ticks(tick_us / 2));
}

static void timer_start(void)
{
    char text[16] = "";

    boot_option("timer", text, sizeof(text));
    by_deadline = strcmp(text, "deadline") == 0;
    if (strcmp(text, "8254") == 0) {
        start_8254();
    } else if (by_deadline) {
        lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | TICK_VECTOR);
        deadline_set();
    } else {
        lapic_timer(TICK_VECTOR, LVT_PERIODIC, tick_us);
    }
}

static void say(u64 beats)
{
    u64 came = ticks; /* before the clock is read: no more than there should have been */
    u64 passed = rdtsc() - ticks_begin;

    kprintf("beat %lu at %lu ms, %lu writes, %lu wrong, %lu backwards, %lu strayed\n", beats,
            clock_us(rdtsc() - boot_tsc) / 1000, writes, wrong, backwards, strayed);
    if (!pit_count)
        return;

    u64 should = clock_us(passed) * PIT_HZ / pit_count / 1000000;

    kprintf("ticks %lu of %lu\n", came, should);
}

void guest_main(void)
{
    u64 beats = 0;

    pages = number_option("pages", pages, MIN(COUNTS_MAX, (boot_ram_end(GiB(3)) - SET_BASE) / PAGE_SIZE));
    rate = number_option("rate", rate, 10000);
    tick_us = number_option("tick", tick_us, 1000000);
    registers_set();
    trap_handle(TICK_VECTOR, tick);
    lapic_enable();
    timer_start();
    last_time = rdtsc();
    while (!beat())
        say(beats++);
    if (pit_count)
        pit_stop();
    else
        lapic_timer_stop();
    for (u64 page = 0; page < pages; page++)
        page_check(page);
    report("it has written", writes > 0);
    report_equal("every page holds what was written to it", wrong, 0);
    report_equal("time does not go back", backwards, 0);
    report_equal("registers stay", strayed, 0);
}

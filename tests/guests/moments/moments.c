/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * moments: a guest that stays in one odd moment until a 'q' is typed, to be moved there, and then looks whether it was
 * left as it was.
 *
 *     moment=real     real mode, with segments that have bases
 *     moment=string   string I/O, thousands of elements an instruction
 *     moment=pending  interrupts off, and one waiting
 *     moment=halt     HLT, for a second each time
 *     moment=ports    ring 3, with ports that the TSS gives it
 *     moment=shadow   interrupts off, behind a load of SS
 *     moment=mxcsr    after FXRSTOR of an MXCSR with reserved bits, which QEMU takes
 */
#include "tests/guests/moments/moments.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/modes.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "config/guest_abi.h"
#include "host/bits.h"

#define UART_SCR (GODWIT_CONSOLE_PORT + 7)
#define UART_LSR (GODWIT_CONSOLE_PORT + 5)
#define VECTOR 0x40
#define STRING (16 * 1024)
#define SLEEP_US 1000000
#define LOADS 20000 /* between two looks for a key */
#define AREA_MXCSR 24
#define MXCSR_BITS 0xFFFFu

const char guest_name[] = "moments";

static u8 string[STRING + 1];
static volatile u64 taken;

static void take(struct trap_frame *frame)
{
    (void)frame;
    taken++;
    lapic_eoi();
}

static void stay_real(void)
{
    report_equal("one byte by two names", real_call(real_until_q), 0);
    kprintf("%u turns\n", real_turns);
    report("it went round", real_turns > 0);
}

/* Read the scratch register to all of the string; true if that is what is there then, and nothing else was touched. */
static bool string_round(u8 value)
{
    const u8 other = value ^ 0xFF;
    void *to = string;
    u64 left = STRING;

    string[STRING] = other;
    outb(UART_SCR, value);
    asm volatile("rep insb" : "+D"(to), "+c"(left) : "d"(UART_SCR) : "memory");
    for (u32 i = 0; i < STRING; i++)
        if (string[i] != value)
            return false;
    return left == 0 && to == string + STRING && string[STRING] == other;
}

static void stay_string(void)
{
    u64 rounds = 0, wrong = 0;

    while (console_key() != 'q')
        wrong += !string_round((u8)++rounds);
    kprintf("%lu rounds\n", rounds);
    report_equal("every element went where it should", wrong, 0);
}

static void stay_pending(void)
{
    u64 lost = 0;

    cli();
    lapic_timer(VECTOR, 0, 100);
    while (!lapic_bit(LAPIC_IRR, VECTOR))
        pause();
    kprintf("pending\n");
    while (console_key() != 'q')
        lost += !lapic_bit(LAPIC_IRR, VECTOR);
    report_equal("it kept waiting", lost, 0);
    report_equal("and was not taken", taken, 0);
    sti();
    clock_spin(10000);
    report_equal("then it is taken, once", taken, 1);
}

static void stay_halted(void)
{
    u64 early = 0, sleeps = 0;

    while (console_key() != 'q') {
        u64 start = rdtsc(), before = taken;

        cli();
        lapic_timer(VECTOR, 0, SLEEP_US);
        while (taken == before) {
            sti_hlt();
            cli();
        }
        sti();
        early += clock_us(rdtsc() - start) < SLEEP_US * 9 / 10;
        sleeps++;
    }
    kprintf("%lu sleeps\n", sleeps);
    report_equal("no sleep is cut short", early, 0);
    report_equal("each ends once", taken, sleeps);
}

/* Ring 3. A port that is not its own any more is a #GP. */
static void user_until_q(u64 arg)
{
    volatile u64 *turns = (u64 *)arg;

    do
        while (++*turns, !(inb(UART_LSR) & 1))
            ;
    while (inb(GODWIT_CONSOLE_PORT) != 'q');
}

static void stay_ports(void)
{
    u64 turns = 0;
    struct fault f;

    f = fault_catch_user(user_until_q, (u64)&turns);
    report_fault("without permission", f, X86_GP);
    trap_ports_user(GODWIT_CONSOLE_PORT, 8);
    turns = 0;
    kprintf("permitted\n");
    report_fault("the ports stayed its own", fault_catch_user(user_until_q, (u64)&turns), FAULT_NONE);
    kprintf("%lu turns\n", turns);
}

static void stay_in_shadow(void)
{
    u64 turns = 0, flags;
    u16 ss;

    cli();
    asm volatile("mov %%ss, %0" : "=r"(ss));
    while (console_key() != 'q') {
        u64 left = LOADS;

        asm volatile("1: mov %1, %%ss; dec %0; jnz 1b" : "+r"(left) : "r"(ss) : "cc");
        turns++;
    }
    asm volatile("pushfq; pop %0" : "=r"(flags));
    kprintf("%lu turns\n", turns);
    report("it went round", turns > 0);
    report("interrupts stayed off", !(flags & RFLAGS_IF));
}

static void load_sse(u64 area)
{
    asm volatile("fxrstor64 (%0)" : : "r"(area));
}

static void stay_with_mxcsr(void)
{
    static _Alignas(16) u8 area[512];
    u32 mxcsr;

    write_cr4(read_cr4() | CR4_OSFXSR);
    asm volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    *(u32 *)(area + AREA_MXCSR) |= BIT(16);
    kprintf("fxrstor: %s\n", fault_catch(load_sse, (u64)area).vector == X86_GP ? "#GP" : "taken");
    while (console_key() != 'q')
        pause();
    asm volatile("stmxcsr %0" : "=m"(mxcsr));
    report_equal("no reserved bit is left in MXCSR", mxcsr & ~MXCSR_BITS, 0);
}

void guest_main(void)
{
    static const struct {
        const char *name;
        void (*stay)(void);
    } moments[] = {
        { "real", stay_real },   { "string", stay_string },    { "pending", stay_pending },  { "halt", stay_halted },
        { "ports", stay_ports }, { "shadow", stay_in_shadow }, { "mxcsr", stay_with_mxcsr },
    };
    char moment[16] = "";

    trap_handle(VECTOR, take);
    lapic_enable();
    boot_option("moment", moment, sizeof(moment));
    for (u32 i = 0; i < ARRAY_SIZE(moments); i++) {
        if (strcmp(moments[i].name, moment) != 0)
            continue;
        kprintf("in the moment: %s\n", moment);
        moments[i].stay();
        return;
    }
    report("moment=real, string, pending, halt, ports, shadow or mxcsr", false);
}

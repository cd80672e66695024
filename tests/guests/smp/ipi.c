/* SPDX-License-Identifier: BSD-2-Clause */
/* Interprocessor interrupts: who gets them, how often, and what holds them back. */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/smp/smp.h"
#include "host/bits.h"

#define VECTOR 0x51
#define PING 0x61
#define PONG 0x62
#define TICK 0x71
#define ROUNDS 200
#define TICK_US 20000
#define NOBODY 0x5E /* an APIC id that there isn't */
#define DFR_FLAT 0xFFFFFFFF
#define DFR_CLUSTER 0x0FFFFFFF
#define CLUSTER_ALL 0xF /* in the lower half of a destination */

#define EVERYBODY ((u32)BITS(nr_cpus - 1, 0))
#define OTHERS (EVERYBODY & ~1U)
#define MORE_THAN_ONCE 0x10000 /* in a set of processors: bits of those that took it again */

static u32 takers(u8 vector)
{
    u32 set = 0;

    for (u32 i = 0; i < nr_cpus; i++)
        if (cpus[i].seen[vector])
            set |= (cpus[i].seen[vector] > 1 ? MORE_THAN_ONCE : 1) << i;
    return set;
}

/* The message is taken once by each of `who` and by nobody else. */
static void expect(const char *name, u32 destination, u32 command, u32 who)
{
    u8 vector = command & ICR_NMI ? X86_NMI : VECTOR;

    seen_clear(vector);
    lapic_ipi(destination, command & ICR_NMI ? command : command | VECTOR);
    AWAIT((takers(vector) & who) == who);
    settle();
    report_equal(name, takers(vector), who);
}

static void expect_one_of(const char *name, u32 destination, u32 command, u32 who)
{
    seen_clear(VECTOR);
    lapic_ipi(destination, command | VECTOR);
    AWAIT(takers(VECTOR));
    settle();

    u32 took = takers(VECTOR);

    report(name, took && !(took & ~who) && !(took & (took - 1)));
}

static void set_logical(u64 dfr)
{
    u32 id = this_cpu()->id;

    lapic_write(LAPIC_DFR, (u32)dfr);
    lapic_write(LAPIC_LDR, dfr == DFR_FLAT ? 1U << (24 + id) : id / 4 << 28 | 1U << (24 + id % 4));
}

static void test_logical(bool x2apic)
{
    u32 last = nr_cpus - 1;

    if (x2apic) {
        expect("logical, each", EVERYBODY, ICR_LOGICAL, EVERYBODY);
        expect("logical, one", 1U << last, ICR_LOGICAL, 1U << last);
        expect("logical, another cluster", 0x10000 | EVERYBODY, ICR_LOGICAL, 0);
        expect_one_of("lowest priority", OTHERS, ICR_LOGICAL | ICR_LOWEST, OTHERS);
        return;
    }
    set_logical(DFR_FLAT);
    others_do(set_logical, DFR_FLAT);
    expect("flat, each", EVERYBODY, ICR_LOGICAL, EVERYBODY);
    expect("flat, one", 1U << last, ICR_LOGICAL, 1U << last);
    expect("flat, all bits", 0xFF, ICR_LOGICAL, EVERYBODY);
    expect_one_of("lowest priority", OTHERS, ICR_LOGICAL | ICR_LOWEST, OTHERS);
    set_logical(DFR_CLUSTER);
    others_do(set_logical, DFR_CLUSTER);
    expect("cluster, its members", CLUSTER_ALL, ICR_LOGICAL, EVERYBODY & 0xF);
    expect("cluster, one", last / 4 << 4 | 1U << last % 4, ICR_LOGICAL, 1U << last);
    expect("cluster, one without members", 5 << 4 | CLUSTER_ALL, ICR_LOGICAL, 0);
    set_logical(DFR_FLAT);
    others_do(set_logical, DFR_FLAT);
}

/* One that is busy with interrupts off, or with a high priority, takes nothing until it allows it. */
static void held_by_flag(u64 arg)
{
    (void)arg;
    spin_closed(0);
}

static void held_by_priority(u64 arg)
{
    (void)arg;
    write_cr8(VECTOR >> 4);
    spin_open(0);
    write_cr8(0);
}

static void expect_held(const char *name, void (*busy)(u64 arg))
{
    struct cpu *cpu = &cpus[nr_cpus - 1];

    seen_clear(VECTOR);
    spin_stop = false;
    spin_rounds = 0;
    cpu_give(cpu, busy, 0);
    AWAIT(spin_rounds);
    lapic_ipi(cpu->id, VECTOR);
    lapic_ipi(cpu->id, VECTOR);
    u64 rounds = spin_rounds;
    AWAIT(spin_rounds > rounds + 1000);
    bool early = takers(VECTOR);
    spin_stop = true;
    report(name, cpu_done(cpu) && !early && AWAIT(takers(VECTOR)));
    settle();
    report_equal("and two are one then", takers(VECTOR), 1U << cpu->id);
}

void test_fixed(bool x2apic)
{
    report_prefix(x2apic ? "x2apic: fixed" : "xapic: fixed");
    watch(VECTOR);
    for (u32 i = 0; i < nr_cpus; i++)
        expect("by APIC id", i, 0, 1U << i);
    expect("to nobody", NOBODY, 0, 0);
    expect("broadcast", LAPIC_EVERYONE, 0, EVERYBODY);
    expect("shorthand self", NOBODY, ICR_SELF, 1);
    expect("shorthand all", NOBODY, ICR_ALL, EVERYBODY);
    expect("shorthand others", NOBODY, ICR_OTHERS, OTHERS);
    test_logical(x2apic);
    expect_held("held by IF", held_by_flag);
    expect_held("held by the priority", held_by_priority);
}

/* --- NMIs --- */

static volatile u32 nmis_begun, nmis_ended;
static volatile bool nmi_hold;

static void slow_nmi_handler(struct trap_frame *frame)
{
    (void)frame;
    nmis_begun++;
    while (nmi_hold)
        pause();
    nmis_ended++;
}

/* A second NMI during the handler of the first waits for its IRET, and comes then: nothing else has to happen. */
static void test_nmi_blocking(void)
{
    struct cpu *cpu = &cpus[nr_cpus - 1];

    trap_handle(X86_NMI, slow_nmi_handler);
    nmis_begun = nmis_ended = 0;
    nmi_hold = true;
    spin_stop = false;
    spin_rounds = 0;
    cpu_give(cpu, spin_closed, 0);
    AWAIT(spin_rounds);
    lapic_ipi(cpu->id, ICR_NMI);
    report("the first NMI is taken with IF = 0", AWAIT(nmis_begun == 1));
    lapic_ipi(cpu->id, ICR_NMI);
    clock_spin(3000);
    report_equal("the second waits for the IRET of the first", nmis_begun, 1);
    u64 start = rdtsc();
    nmi_hold = false;
    report("and comes then", AWAIT(nmis_ended == 2));
    kprintf("second NMI after %lu us\n", clock_us(rdtsc() - start));
    spin_stop = true;
    report("the interrupted code goes on", cpu_done(cpu));
    report_equal("no third NMI", nmis_begun, 2);
    watch(X86_NMI);
}

void test_nmi(void)
{
    report_prefix("nmi");
    watch(X86_NMI);
    expect("to one that sleeps", nr_cpus - 1, ICR_NMI, 1U << (nr_cpus - 1));
    expect("to all others", 0, ICR_NMI | ICR_OTHERS, OTHERS);
    test_nmi_blocking();
}

/* --- Sleep --- */

static void pong(struct trap_frame *frame)
{
    lapic_ipi(0, PONG);
    this_cpu()->seen[frame->vector]++;
    lapic_eoi();
}

/* Let interrupts in, sleeping until one comes or not. False: the answer was on its way and has not come. */
static bool let_in(struct cpu *cpu, u32 round, bool sleep)
{
    bool answered = cpu->seen[PING] >= round;

    if (sleep)
        sti_hlt();
    else
        sti();
    asm volatile("nop"); /* behind the shadow of STI; QEMU stretches that over a PAUSE */
    cli();
    return !sleep || !answered || cpus[0].seen[PONG] >= round;
}

/* Back and forth between two, the first one asleep or not in between. A tick wakes it if the answer doesn't. */
static void ping_pong(const char *name, bool sleep)
{
    struct cpu *cpu = &cpus[nr_cpus - 1];
    u64 start = rdtsc();
    u32 slept_on = 0;

    seen_clear(PING);
    seen_clear(PONG);
    for (u32 round = 1; round <= ROUNDS && cpus[0].seen[PONG] == round - 1; round++) {
        u64 sent = rdtsc();

        cli();
        lapic_ipi(cpu->id, PING);
        while (cpus[0].seen[PONG] < round && rdtsc() - sent < clock_ticks(LONG_US))
            slept_on += !let_in(cpu, round, sleep);
        sti();
    }
    kprintf("%s: %lu us a round trip\n", name, clock_us(rdtsc() - start) / ROUNDS);
    report_equal(name, cpus[0].seen[PONG], ROUNDS);
    report("no answer is slept on", slept_on < ROUNDS / 20); /* a tick may come just before an answer, but seldom */
    settle();
    report_equal("no ping is doubled", cpu->seen[PING], ROUNDS);
}

static void halt_closed(u64 arg)
{
    (void)arg;
    cli();
    spin_rounds = 1;
    asm volatile("hlt");
    spin_rounds = 2;
    sti();
}

/* HLT with interrupts off: the others go on, and an NMI wakes it, an interrupt doesn't. */
static void test_halted_closed(void)
{
    struct cpu *cpu = &cpus[nr_cpus - 1];

    seen_clear(X86_NMI);
    seen_clear(VECTOR);
    spin_rounds = 0;
    cpu_give(cpu, halt_closed, 0);
    AWAIT(spin_rounds);
    lapic_ipi(cpu->id, VECTOR);
    clock_spin(5000);
    report("HLT with IF = 0 is not woken by an interrupt", spin_rounds == 1 && !cpu->seen[VECTOR]);
    lapic_ipi(cpu->id, ICR_NMI);
    report("but by an NMI", AWAIT(spin_rounds == 2) && cpu->seen[X86_NMI] == 1);
    report("then the interrupt comes", cpu_done(cpu) && AWAIT(cpu->seen[VECTOR] == 1));
}

void test_halted(void)
{
    report_prefix("ping-pong");
    watch(PONG);
    watch(TICK);
    trap_handle(PING, pong);
    ping_pong("awake", false);
    lapic_timer(TICK, LVT_PERIODIC, TICK_US);
    ping_pong("asleep", true);
    lapic_timer_stop();
    report_prefix("halt");
    test_halted_closed();
}

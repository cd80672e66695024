/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processors of the guest. The first one directs; the others sleep in HLT until they are given work. All constants
 * up to the C part are for ap.S as well.
 */
#pragma once

#include "tests/guests/kit/x86.h"

#define CPUS_MAX 8
#define STACK_SIZE 8192

/* Where an arriving processor notes how it found itself: offsets into struct arrival. */
#define ARRIVAL_CS 0
#define ARRIVAL_REGISTERS 4
#define ARRIVAL_CR0 8
#define ARRIVAL_CR4 12
#define ARRIVAL_EFER 16
#define ARRIVAL_SIZE 20

#ifndef __ASSEMBLER__

#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/trap.h"
#include "host/types.h"

/* Wait for a condition, with a limit; the value is the condition. */
#define AWAIT(condition)                                                     \
    ({                                                                       \
        u64 await_start = rdtsc();                                           \
        while (!(condition) && rdtsc() - await_start < clock_ticks(LONG_US)) \
            pause();                                                         \
        (condition);                                                         \
    })

/* In real mode, before anything was changed. */
struct arrival {
    u32 cs;
    u32 registers; /* all general registers but EDX, ORed */
    u32 cr0, cr4, efer;
};
_Static_assert(sizeof(struct arrival) == ARRIVAL_SIZE, "ap.S");

struct cpu {
    struct cpu *self; /* at %gs:0 */
    u32 id;           /* index, and APIC id */
    volatile u32 starts;
    struct arrival arrival; /* and in long mode, before the LAPIC and the debug registers were touched: */
    u32 svr, ldr, tpr, lvt_timer;
    u64 apic_base, dr0, dr7;
    void (*volatile work)(u64 arg); /* NULL: none, or done */
    volatile u64 arg;
    volatile u32 seen[256]; /* interrupts and NMIs taken, by vector */
    struct trap_cpu traps;
};

extern struct cpu cpus[CPUS_MAX];
extern u32 nr_cpus;

static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;

    asm volatile("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

#define FOR_EACH_AP(ap) for (struct cpu *ap = &cpus[1]; ap < &cpus[nr_cpus]; ap++)

/* ap.S: what a start-up IPI names, at a page boundary below 64 KiB. */
extern u8 ap_start[];

/* ap.S calls it on the processor's own stack. */
_Noreturn void ap_main(u32 id, const struct arrival *arrival);

/* Count the vector (an NMI too) in seen[] of whoever takes it. */
void watch(u8 vector);

/* Forget what was seen of it, everywhere. */
void seen_clear(u8 vector);

/* INIT, start-up, start-up: true when the processor has arrived. */
bool cpu_restart(struct cpu *cpu);

/* Give a sleeping processor work, with interrupts on; cpu_done awaits its end. */
void cpu_give(struct cpu *cpu, void (*work)(u64 arg), u64 arg);
bool cpu_done(struct cpu *cpu);

/* All of that for each of the others, at the same time; false if one didn't finish. */
bool others_do(void (*work)(u64 arg), u64 arg);

/* Each of the others has taken what was sent to it before. */
void settle(void);

/* Some work: turn round with interrupts on or off until it is told to stop. */
extern volatile bool spin_stop;
extern volatile u64 spin_rounds;
void spin_open(u64 arg);
void spin_closed(u64 arg);

/* The tests, by file; each is run in either mode of the LAPIC. */
void test_fixed(bool x2apic);
void test_nmi(void);
void test_halted(void);
void test_timers(void);
void test_memory(void);
void test_init(void);

/* All processors halt with interrupts off, or this one alone, the others never having been started. */
_Noreturn void all_halt(bool unstarted);

/* pair.c */
void pair(u64 rate);

#endif

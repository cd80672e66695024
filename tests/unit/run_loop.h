/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loops of a machine (hv/sched.c, hv/vcpu.c), whose time, guests and interrupts are the test's. A tick is a
 * nanosecond.
 */
#pragma once

#include "host/cpu.h"
#include "hv/vm.h"

#define US 1000ULL
#define MS 1000000ULL
#define NEVER (~0ULL)
#define CPUS 4
#define GUESTS 6
#define SLICE MS

/* A VM of one vcpu, whose program works for a while and halts until its timer wakes it. */
struct guest {
    struct vm vm;
    struct vcpu vcpu;
    u64 works, naps; /* for so long; works 0: it never halts */
    u64 left;        /* until it halts */
    u64 deadline;    /* of its timer */
    bool pending;    /* an interrupt is there to be taken */
    bool called;     /* an NMI, INIT or start-up has come that is not taken */

    u64 ran;          /* in all */
    u64 interrupted;  /* when it took an interrupt last */
    u64 left_cpu;     /* when it ran last; 0: it has halted since */
    u64 longest_wait; /* between two turns in which it could have run */
    u64 waits_since;  /* as struct vm_platform_ops says; 0: it does not wait */
    u64 waited;       /* in all, up to its last turn: steal time */
};

struct run_loop {
    struct guest guest[GUESTS];
    struct cpu cpu[CPUS];
    u32 nr_cpus;
    u64 now;
    unsigned sleeps;    /* of all CPUs: HLT */
    unsigned stops;     /* VMs that the scheduler has ended */
    unsigned caught_up; /* VMs that were behind and are not any more */
    unsigned kicks[CPUS];
    void (*on_take)(void); /* something happens while a CPU looks for a vcpu to run */

    /* The outside kicks CPU `kicked`, when it has done something, once or again and again; or whenever guest 0 has run
     * for so long. */
    u32 kicked;
    u64 next_kick, kick_every, kick_first;
    void (*before_kick)(void);

    /* The host loop: what a round takes, when it wishes to be called again (NULL: never), and how it goes. */
    u64 round_ns;
    u64 (*wish)(void);
    unsigned rounds;
    u64 longest_gap;  /* between two rounds */
    u64 longest_wait; /* of a kick for a round */
};

extern struct run_loop loop;

/* For cmocka: nothing runs yet, and all guests never halt. */
int run_loop_setup(void **state);

/* A machine of so many CPUs with the first so many guests. They run on CPU 1, if there is one. */
void machine(u32 cpus, unsigned guests);

/* A CPU executes its run loop, from where it stands, for so long. */
void run_cpu(u32 index, u64 ns);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One physical processor: its descriptors, stacks and what the upper rooms hang on it.
 *
 * A CPU's struct is written by that CPU alone, except where a field says otherwise. Found through %gs.
 */
#pragma once

#include "host/list.h"
#include "host/trace.h"
#include "host/types.h"

#define MAX_CPUS 64

struct vcpu;

/* Long-mode task state segment (SDM 3A "Task Management"): only stacks matter. */
struct tss {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3, iomap_base;
} __attribute__((packed));

_Static_assert(sizeof(struct tss) == 104, "TSS layout");

#define GDT_ENTRIES 5 /* null, code, data, TSS (two entries) */
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS 0x18

/* Which of the TSS's interrupt stacks serves which vector. */
enum ist { IST_NMI = 1, IST_DF = 2, IST_MC = 3, NR_ISTS = 3 };

/* The operand of LGDT and LIDT. */
struct descriptor_pointer {
    u16 limit;
    u64 base;
} __attribute__((packed));

struct cpu {
    struct cpu *self; /* at %gs:0 */
    u32 index;        /* 0 is the boot processor */
    u32 apic_id;
    bool online; /* written by this CPU once, read by the starter */

    u64 gdt[GDT_ENTRIES] __attribute__((aligned(16)));
    struct tss tss;
    u64 stack_top; /* of the run-loop stack, for starting this CPU */

    struct trace_ring trace;

    /* Run loop (hv/sched.c). */
    struct list run_queue; /* vcpus pinned here; guarded by sched's lock */
    struct vcpu *loaded;   /* whose guest-owned registers (FPU, syscall MSRs, DRs) are here; NULL: nobody's */
    struct vcpu *running;  /* inside the guest or about to be; read by kickers on other CPUs */
    bool kicked;           /* set by cpu_kick before its IPI, cleared by the run loop */
    u64 slice_end;         /* TSC; of the vcpu at the head of run_queue, 0: its slice has not begun */
    u64 guests_until;      /* TSC; until then vcpus come before host work. CPU 0 */
    u64 idle_ticks;        /* TSC ticks spent halted */
    u64 timer_deadline;    /* TSC that the APIC timer is armed for, ~0: it is not; 0: it has not been set up */

    /* Backend (hv/vmx or hv/svm). */
    void *backend_page; /* VMXON region, or host save area: one frame */
    void *backend_data; /* the backend's own per-CPU struct, or NULL */

#ifdef GODWIT_NETS
    u32 locks;       /* that it holds: a bit for the rank of each (host/lock.h) */
    bool in_handler; /* of a host interrupt (host/context.h) */
#endif
};

/* All processors; [0..cpu_count) are online once smp_start has returned. */
struct cpu *cpu_at(u32 index);
u32 cpu_count(void);

/* The processor we run on. Any context after cpu_init. */
static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;

    __asm__("movq %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/*
 * Build cpu 0's struct on the boot processor and cpu_init it, before anything else logs or traps; traps_init comes
 * first.
 */
void cpu_init_boot(u32 apic_id);

/*
 * Load this CPU's GDT, TSS, %gs, IDT, and the control registers and MSRs that the hypervisor relies on (WP, NXE, PGE,
 * OSFXSR, OSXSAVE where present, PAT).
 */
void cpu_init(struct cpu *cpu);

/*
 * Give the CPU a run-loop stack and exception stacks, each above its own guard gap. Returns 0 or -ENOMEM. After
 * host_map_init.
 */
int cpu_stacks_init(struct cpu *cpu);

/*
 * Allocate the struct and stacks of the next CPU; cpu_add counts it once it is online. Returns NULL without memory.
 * Boot processor only.
 */
struct cpu *cpu_create(u32 apic_id);
void cpu_add(struct cpu *cpu);

/*
 * Do the 16 bytes at address lie in a stack of this CPU, or in our data (the boot stack)? For backtraces: then they
 * can be read.
 */
bool cpu_stack_contains(const struct cpu *cpu, u64 address);

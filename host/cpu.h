/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One physical processor: its descriptors, its stacks and the data that the upper rooms keep for each CPU.
 *
 * Only the CPU itself writes its struct, unless a field says otherwise. A CPU finds its struct through %gs.
 */
#pragma once

#include "host/list.h"
#include "host/trace.h"
#include "host/types.h"

#define MAX_CPUS 64

struct vcpu;

/* Long-mode task state segment (SDM 3A "Task Management"); we use only its stacks. */
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

/* The number of the TSS's interrupt stack for each vector that has its own. */
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
    bool online; /* this CPU sets it once; the CPU that starts it reads it */

    u64 gdt[GDT_ENTRIES] __attribute__((aligned(16)));
    struct tss tss;
    u64 stack_top; /* of the run-loop stack; used to start this CPU */

    struct trace_ring trace;

    /* Run loop (hv/sched.c). */
    struct list run_queue; /* vcpus pinned here; guarded by sched's lock */
    struct vcpu *resident; /* the vcpu whose guest-owned registers (FPU, syscall MSRs, DRs) this CPU holds, or NULL */
    struct vcpu *running;  /* the vcpu in its guest or about to enter it, or NULL; other CPUs read it to kick */
    bool in_fpu;           /* between fpu_begin and fpu_end (host/fpu.h) */
    bool kicked;           /* set by cpu_kick before its IPI, cleared by the run loop */
    u64 slice_end;         /* TSC; for the vcpu at the head of run_queue; 0: its slice has not begun */
    u64 guests_until;      /* TSC; until then vcpus come before host work. CPU 0 only */
    u64 idle_ticks;        /* TSC ticks spent halted */
    u64 timer_deadline;    /* TSC for which the APIC timer is armed; ~0: not armed; 0: not set up yet */

    u64 page_asked; /* the missing page that this CPU has asked for last (mm/guest_missing.h) */

    /* Backend (hv/vmx or hv/svm). */
    void *backend_page; /* VMXON region, or host save area: one frame */
    void *backend_data; /* the backend's own per-CPU struct, or NULL */

#ifdef GODWIT_NETS
    u32 locks;       /* locks that this CPU holds: one bit for the rank of each (host/lock.h) */
    bool in_handler; /* this CPU is in a handler of a host interrupt (host/context.h) */
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
 * Build cpu 0's struct and call cpu_init for it. Boot processor, after traps_init and before anything else logs or
 * traps.
 */
void cpu_init_boot(u32 apic_id);

/*
 * Load this CPU's GDT, TSS, %gs, IDT, and the control registers and MSRs that the hypervisor relies on (WP, NXE, PGE,
 * OSFXSR, OSXSAVE where present, PAT).
 */
void cpu_init(struct cpu *cpu);

/*
 * Give the CPU a run-loop stack and exception stacks, each of them above a guard gap. Returns 0 or -ENOMEM. After
 * host_map_init.
 */
int cpu_stacks_init(struct cpu *cpu);

/*
 * Allocate the struct and stacks of the next CPU; cpu_add counts the CPU once it is online. Returns NULL if memory is
 * short. Boot processor only.
 */
struct cpu *cpu_create(u32 apic_id);
void cpu_add(struct cpu *cpu);

/*
 * Do the 16 bytes at address lie in a stack of this CPU, or in our data (the boot stack)? A backtrace asks before it
 * reads them.
 */
bool cpu_stack_contains(const struct cpu *cpu, u64 address);

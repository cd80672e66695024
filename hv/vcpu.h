/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual processor. It is pinned to one physical CPU (sched.c); only that CPU touches it while its VM runs,
 * but for the fields marked otherwise.
 */
#pragma once

#include "host/x86.h"
#include "hv/exit.h"
#include "host/list.h"
#include "host/types.h"
#include "hv/vcpu_state.h"

struct cpu;
struct msr_store;
struct vm;

enum vcpu_status {
    VCPU_RUNNABLE,
    VCPU_HALTED,    /* HLT: until an interrupt or NMI */
    VCPU_WAIT_SIPI, /* INIT state: until a start-up IPI */
};

/* Types of an event, in the encoding that VT-x and AMD-V share for 0, 2, 3, 4 (SDM 3C "Event Injection"). */
enum event_type {
    EVENT_INTERRUPT = 0,
    EVENT_NMI = 2,
    EVENT_EXCEPTION = 3,
    EVENT_SOFT_INTERRUPT = 4,       /* INT n */
    EVENT_PRIVILEGED_EXCEPTION = 5, /* INT1; VT-x only */
    EVENT_SOFT_EXCEPTION = 6,       /* INT3, INTO; VT-x only */
};

/* An event to deliver at the next entry, or one whose delivery an exit has interrupted. */
struct event {
    bool valid;
    u8 type; /* enum event_type */
    u8 vector;
    bool has_error;
    u32 error;
    u8 len; /* of the instruction, for software events */
};

/* Raised by INT n, INT1, INT3 or INTO: RIP still points at it. (AMD-V executes the instruction again instead.) */
static inline bool event_is_by_instruction(const struct event *event)
{
    return event->valid && event->type >= EVENT_SOFT_INTERRUPT;
}

/* Interrupt shadow: what the guest's last instruction blocks for one instruction. */
enum shadow { SHADOW_NONE = 0, SHADOW_STI = 1, SHADOW_MOV_SS = 2 };

/*
 * What a backend makes of the shadow that it found at an exit. AMD-V doesn't tell one from the other, VT-x does and
 * demands that STI's goes with IF = 1 (SDM 3C "Checks on Guest Non-Register State"); so does who takes a moved vcpu.
 */
static inline enum shadow shadow_settle(bool shadow, bool by_mov_ss, u64 rflags)
{
    if (!shadow)
        return SHADOW_NONE;
    return by_mov_ss || !(rflags & RFLAGS_IF) ? SHADOW_MOV_SS : SHADOW_STI;
}

/*
 * What supplies a vcpu with interrupts, and owns the MSRs and the register (CR8) of that supply: the local APIC of
 * dev. All on the vcpu's own CPU. The supply sets vcpu->ask_interrupts there whenever pending() or deadline() may
 * have changed; from another CPU vcpu_wake() does.
 */
struct interrupt_ops {
    bool (*pending)(struct vcpu *vcpu);         /* is there an interrupt to deliver, above the priority threshold? */
    int (*ack)(struct vcpu *vcpu);              /* take it: the vector to deliver now, or -1 if it has gone */
    bool (*called)(const struct vcpu *vcpu);    /* have an NMI, INIT or start-up come that it has not taken? Any CPU */
    u64 (*deadline)(struct vcpu *vcpu);         /* host TSC at which expire() wants to be called; ~0: none */
    void (*expire)(struct vcpu *vcpu, u64 now); /* host TSC has passed deadline() */
    u8 (*get_cr8)(struct vcpu *vcpu);
    void (*set_cr8)(struct vcpu *vcpu, u8 value);            /* 0 to 15 */
    int (*read_msr)(struct vcpu *vcpu, u32 msr, u64 *value); /* 0, or -EINVAL: #GP; -ENOENT: not its register */
    int (*write_msr)(struct vcpu *vcpu, u32 msr, u64 value);
    void (*tsc_changed)(struct vcpu *vcpu); /* the guest has written its TSC: tsc_offset is new */
};

/*
 * Told of vcpus' turns, by dev: it could run now and waits for its turn (again, perhaps); it is about to be entered.
 * On the vcpu's CPU; goes_on may write guest memory.
 */
struct turn_ops {
    void (*waits)(struct vcpu *vcpu);
    void (*goes_on)(struct vcpu *vcpu);
};

/* Once, at boot. */
void vcpu_set_turn_ops(const struct turn_ops *ops);

struct vcpu {
    /* Current between runs; entry.S of both backends knows the offset of regs (0). */
    u64 regs[NR_GPRS];
    u64 rip, rflags, cr2;
    u32 shadow; /* enum shadow */
    bool nmi_blocked;
    bool nmi_pending; /* an NMI waits to be injected */
    bool want_window; /* leave the guest as soon as it can take an interrupt; consumed by backend->run */
    struct event event;

    /* What the interrupt source last said; asked again when something may have changed it, which is rare among exits.
     */
    bool ask_interrupts;
    bool interrupt_pending; /* interrupts->pending() */
    u64 run_until;          /* host TSC: backend->run returns soon after it, with EXIT_PREEMPT or EXIT_INTERRUPT */
    struct exit exit;

    struct vm *vm;
    u32 id;                  /* index in its VM, and its APIC id */
    enum vcpu_status status; /* read by any CPU; who sleeps is woken under the lock of the run queues */

    /* Scheduling (sched.c). */
    struct list run_node;
    u32 cpu;         /* index of the physical CPU that it is pinned to */
    u64 slices;      /* times scheduled */
    u64 guest_ticks; /* TSC ticks from entry to exit handled */

    /* Guest-owned registers that the hypervisor does not use: in the CPU while it is loaded there, else here (load.c).
     */
    void *fpu; /* XSAVE area, one page */
    u64 xcr0;
    bool osxsave; /* CR4.OSXSAVE, which CPUID shows */
    u64 dr[4];
    u64 tsc_aux;

    u64 tsc_offset;         /* guest TSC = host TSC, scaled by vm->tsc, + this */
    struct msr_store *msrs; /* MSRs that only remember (msr.c) */
    u64 npt_generation;     /* of vm->npt: what this vcpu's CPU has flushed */
    u64 npt_flushes;        /* times that npt_generation has moved */
    const struct interrupt_ops *interrupts;
    void *interrupt_data; /* the local APIC */

    void *backend; /* VMCS or VMCB and its companions */
    u64 exits[NR_EXITS];
    u64 interrupts_injected;
    u64 trace_id;    /* vm->id << 8 | id */
    u64 npf_page;    /* of RAM, that faulted last without reason */
    u32 npf_repeats; /* ... so often in a row */
};

/* What is said of callers below and in hv/backend.h, asserted in debug images: "on the vcpu's CPU"; and "there, or not
 * loaded anywhere". */
#ifdef GODWIT_NETS
#include "host/cpu.h"
#include "host/panic.h"

#define assert_here(vcpu) assert((vcpu)->cpu == this_cpu()->index)
#define assert_in_reach(vcpu) assert((vcpu)->cpu == this_cpu()->index || cpu_at((vcpu)->cpu)->loaded != (vcpu))
#else
#define assert_here(vcpu) ((void)(vcpu))
#define assert_in_reach(vcpu) ((void)(vcpu))
#endif

/* Create vcpu `id` of vm in the reset state of INIT (real mode, F000:FFF0). Returns NULL without memory. Host loop, VM
 * not started. */
struct vcpu *vcpu_create(struct vm *vm, u32 id);
void vcpu_destroy(struct vcpu *vcpu);

/* The architectural reset state (SDM 3A "Processor State After Reset"): control and segment groups, MSRs, DRs, and
 * vcpu's own registers. */
void vcpu_reset(struct vcpu *vcpu);

/* A machine reset: as created. Not scheduled. */
void vcpu_restart(struct vcpu *vcpu);

/* A start-up IPI: real mode at page << 12 (SDM 3A "Multiple-Processor Initialization"). In the reset state, on the
 * vcpu's CPU. */
void vcpu_start_real(struct vcpu *vcpu, u8 page);

/* It has become able to run: its interrupt has come. On its CPU. */
void vcpu_runnable(struct vcpu *vcpu);

/* All exits so far. Any CPU. */
static inline u64 vcpu_exits(const struct vcpu *vcpu)
{
    u64 sum = 0;

    for (unsigned kind = 0; kind < NR_EXITS; kind++)
        sum += vcpu->exits[kind];
    return sum;
}

/* The instruction that was skipped has RFLAGS.TF: raise #DB with DR6.BS. For vcpu_skip. */
void vcpu_single_stepped(struct vcpu *vcpu);

/* Move RIP past the instruction of vcpu->exit, end its interrupt shadow, and raise #DB if it was single-stepped. */
static inline void vcpu_skip(struct vcpu *vcpu)
{
    vcpu->rip += vcpu->exit.len;
    vcpu->shadow = SHADOW_NONE;
    vcpu->rflags &= ~RFLAGS_RF;
    if (vcpu->rflags & RFLAGS_TF)
        vcpu_single_stepped(vcpu);
}

/*
 * Enter the guest and handle exits until the slice ends, the vcpu halts, its VM stops or this CPU is kicked. Interrupts
 * off, on the vcpu's CPU.
 */
void vcpu_run(struct vcpu *vcpu, u64 until);

/* Something it waits for has come: make it leave HLT and, if it runs, its guest. Any CPU. */
void vcpu_wake(struct vcpu *vcpu);

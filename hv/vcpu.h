/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual processor. It is pinned to one physical CPU (sched.c). While its VM runs, only that CPU touches the struct,
 * except for the fields marked otherwise.
 */
#pragma once

#include "host/x86.h"
#include "hv/exit.h"
#include "host/list.h"
#include "host/types.h"
#include "hv/msr.h"
#include "hv/page_wait.h"
#include "hv/vcpu_state.h"

struct cpu;
struct vm;

enum vcpu_status {
    VCPU_RUNNABLE,
    VCPU_HALTED,     /* after HLT, until an interrupt or NMI comes */
    VCPU_WAIT_SIPI,  /* after INIT, until a start-up IPI comes */
    VCPU_WAIT_PAGE,  /* until a missing page of RAM comes (hv/page_wait.h) */
    VCPU_WAIT_WRITE, /* until it may write to a page that the dirty log does not know of (vm_throttle) */
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

/* Did INT n, INT1, INT3 or INTO raise the event? Then RIP still points at that instruction. AMD-V executes the
 * instruction again instead of injecting the event. */
static inline bool event_is_by_instruction(const struct event *event)
{
    return event->valid && event->type >= EVENT_SOFT_INTERRUPT;
}

/* Interrupt shadow: the guest's last instruction blocks interrupts for one more instruction. */
enum shadow { SHADOW_NONE = 0, SHADOW_STI = 1, SHADOW_MOV_SS = 2 };

/*
 * The shadow that a backend stores in the vcpu for one that it found at an exit. AMD-V doesn't tell the two kinds
 * apart. VT-x does, and demands IF = 1 with a shadow of STI (SDM 3C "Checks on Guest Non-Register State"); a host that
 * receives a moved vcpu demands the same.
 */
static inline enum shadow shadow_settle(bool shadow, bool by_mov_ss, u64 rflags)
{
    if (!shadow)
        return SHADOW_NONE;
    return by_mov_ss || !(rflags & RFLAGS_IF) ? SHADOW_MOV_SS : SHADOW_STI;
}

/*
 * The interrupt source of a vcpu, the local APIC of dev. It also owns the APIC's MSRs and CR8. All calls are on the
 * vcpu's own CPU. The source sets vcpu->ask_interrupts there whenever there is something to take(), or the
 * answer of pending() or deadline() may have changed; on another CPU it calls vcpu_wake() instead.
 */
struct interrupt_ops {
    void (*take)(struct vcpu *vcpu);            /* take what other CPUs have sent; INIT and start-up change the vcpu */
    bool (*pending)(const struct vcpu *vcpu);   /* is there an interrupt to deliver, of those taken? */
    int (*ack)(struct vcpu *vcpu);              /* take it: the vector to deliver now, or -1 if it is gone */
    bool (*called)(const struct vcpu *vcpu);    /* has an NMI, INIT or start-up come that is not taken? Any CPU */
    u64 (*deadline)(struct vcpu *vcpu);         /* host TSC at which expire() wants to be called; ~0: none */
    void (*expire)(struct vcpu *vcpu, u64 now); /* host TSC has passed deadline() */
    u8 (*get_cr8)(struct vcpu *vcpu);
    void (*set_cr8)(struct vcpu *vcpu, u8 value);            /* 0 to 15 */
    int (*read_msr)(struct vcpu *vcpu, u32 msr, u64 *value); /* 0, or -EINVAL: #GP; -ENOENT: not its register */
    int (*write_msr)(struct vcpu *vcpu, u32 msr, u64 value);
    void (*tsc_changed)(struct vcpu *vcpu); /* the guest has written its TSC: tsc_offset is new */
};

struct vcpu {
    /* Current between runs; entry.S of both backends knows the offset of regs (0). */
    u64 regs[NR_GPRS];
    u64 rip, rflags, cr2;
    u32 shadow; /* enum shadow */
    bool nmi_blocked;
    bool nmi_pending; /* an NMI waits to be injected */
    bool want_window; /* leave the guest as soon as it can take an interrupt; consumed by backend->run */
    struct event event;

    /* The last answer of the interrupt source. It is asked again only if the answer may have changed: after few exits.
     */
    bool ask_interrupts;
    bool interrupt_pending; /* interrupts->pending() */
    u64 run_until;          /* host TSC: backend->run returns soon after it, with EXIT_PREEMPT or EXIT_INTERRUPT */
    struct exit exit;

    struct vm *vm;
    u32 id;                  /* index in its VM, and its APIC id */
    enum vcpu_status status; /* any CPU reads it; a sleeper is woken under the lock of the run queues */

    /* Scheduling (sched.c). */
    struct list node; /* in the run queue of its CPU */
    u32 cpu;          /* index of the physical CPU that it is pinned to */
    u64 slices;       /* times scheduled */
    u64 guest_ticks;  /* TSC ticks in the guest and in handling its exits */

    /* Guest-owned registers that the hypervisor does not use. While the vcpu is resident, the CPU holds them, else
     * these fields do (resident.c). */
    void *fpu; /* XSAVE area, one page */
    u64 xcr0;
    bool osxsave; /* CR4.OSXSAVE, which CPUID shows */
    u64 dr[4];
    u64 tsc_aux;

    u64 tsc_offset;        /* guest TSC = host TSC, scaled by vm->tsc, plus this */
    u64 msrs[MSRS_STORED]; /* in the order of msr_stored_list; 0 after power-up */
    u64 npt_generation;    /* the vm->npt.generation that this vcpu's CPU has flushed */
    u64 npt_flushes;       /* how often npt_generation has moved */
    const struct interrupt_ops *interrupts;
    void *interrupt_data; /* the local APIC */

    void *backend_page; /* VMCS or VMCB: one frame */
    void *backend;      /* the backend's own struct */
    u64 exits[NR_EXITS];
    u64 interrupts_injected;
    u64 trace_id;    /* vm->id << 8 | id */
    u64 npf_page;    /* the page of RAM that faulted last without a reason */
    u32 npf_repeats; /* how often it has faulted in a row */
    struct page_wait page_wait;
    u64 write_at; /* host TSC: from then on it may write to another new page, if writers are throttled */
};

/* Debug images assert what the comments below and in hv/backend.h demand of callers: "on the vcpu's CPU"; and "on the
 * vcpu's CPU, or the vcpu is not resident anywhere". */
#ifdef GODWIT_NETS
#include "host/cpu.h"
#include "host/panic.h"

#define assert_here(vcpu) assert((vcpu)->cpu == this_cpu()->index)
#define assert_in_reach(vcpu) assert((vcpu)->cpu == this_cpu()->index || cpu_at((vcpu)->cpu)->resident != (vcpu))
#else
#define assert_here(vcpu) ((void)(vcpu))
#define assert_in_reach(vcpu) ((void)(vcpu))
#endif

/* Create vcpu `id` of vm in the reset state of INIT (real mode, F000:FFF0). Returns NULL if memory is short. Host loop,
 * before the VM is started. */
struct vcpu *vcpu_create(struct vm *vm, u32 id);
void vcpu_destroy(struct vcpu *vcpu);

/* Put the vcpu into the architectural reset state (SDM 3A "Processor State After Reset"): control registers,
 * segments, MSRs, DRs, and the registers in struct vcpu. */
void vcpu_reset(struct vcpu *vcpu);

/* A machine reset: put the vcpu into the state after vcpu_create. The vcpu is in no CPU's queue. */
void vcpu_restart(struct vcpu *vcpu);

/* A start-up IPI (SDM 3A "Multiple-Processor Initialization"), or waking up: the vcpu starts in real mode at this
 * address, below 1 MiB. It must be in the reset state. On the vcpu's CPU, or the vcpu is in no CPU's queue. */
void vcpu_start_real(struct vcpu *vcpu, u32 address);

/* Log the vcpu, decoded: registers, control structure, last events. On the vcpu's CPU, with the vcpu resident there or
 * nowhere. */
void vcpu_dump(struct vcpu *vcpu);

/* The vcpu can run now, because its interrupt or its page has come. On the vcpu's CPU. */
void vcpu_runnable(struct vcpu *vcpu);

/* The number of all exits so far. Any CPU. */
static inline u64 vcpu_exits(const struct vcpu *vcpu)
{
    u64 sum = 0;

    for (unsigned kind = 0; kind < NR_EXITS; kind++)
        sum += vcpu->exits[kind];
    return sum;
}

/* RFLAGS.TF was set while an instruction was skipped: raise #DB with DR6.BS. For vcpu_skip. */
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

/* An event that the vcpu waits for has come: make the vcpu leave HLT or, if it runs, its guest. Any CPU. */
void vcpu_wake(struct vcpu *vcpu);

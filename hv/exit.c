/* SPDX-License-Identifier: BSD-2-Clause */
/* The neutral half of exit handling: one short function a reason, and the table that names them. */
#define LOG_PREFIX "vm"
#include "hv/exit.h"

#include <errno.h>

#include "host/asm.h"
#include "host/context.h"
#include "host/log.h"
#include "host/traps.h"
#include "hv/cpuid.h"
#include "hv/inject.h"
#include "hv/msr.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define MSRS_SHOWN 64 /* refused accesses of a VM that have a line in the log */

static void exit_nothing(struct vcpu *vcpu)
{
    (void)vcpu;
}

/*
 * Here we only let the handlers of host interrupts run; the run loop looks at the time and at kicks after this exit.
 * The end of a turn does the same: under Bochs 2.7 a guest entered with IF = 0 doesn't exit for interrupts.
 */
static void exit_interrupt(struct vcpu *vcpu)
{
    assert_no_lock();
    (void)vcpu;
    take_interrupts();
}

/* Other vcpus may have sent something since we last looked: more urgent than this, or the same once more. */
static void exit_window(struct vcpu *vcpu)
{
    vcpu->ask_interrupts = true;
}

static void exit_cpuid(struct vcpu *vcpu)
{
    struct cpuid_regs r = cpuid_guest(vcpu, vcpu->regs[RAX], vcpu->regs[RCX]);

    vcpu->regs[RAX] = r.eax;
    vcpu->regs[RBX] = r.ebx;
    vcpu->regs[RCX] = r.ecx;
    vcpu->regs[RDX] = r.edx;
    vcpu_skip(vcpu);
}

static void exit_hlt(struct vcpu *vcpu)
{
    vcpu_skip(vcpu);
    if (vcpu->event.valid)
        return; /* single-stepped: the #DB comes first */
    /* Release: a CPU that sees this vcpu asleep (sched.c) also sees all that the vcpu has sent to others before. */
    __atomic_store_n(&vcpu->status, VCPU_HALTED, __ATOMIC_RELEASE);
}

/* Kernels try MSRs that no guest has; which ones is worth knowing when a new kernel misbehaves. A guest that never ends
 * to try does not fill the host's log. */
static void refuse_msr(struct vcpu *vcpu, const char *access)
{
    u32 *shown = &vcpu->vm->msrs_refused;

    if (__atomic_load_n(shown, __ATOMIC_RELAXED) < MSRS_SHOWN &&
        __atomic_fetch_add(shown, 1, __ATOMIC_RELAXED) < MSRS_SHOWN)
        pr_debug("%s: vcpu %u: %s of MSR %#x: #GP", vcpu->vm->name, vcpu->id, access, (u32)vcpu->regs[RCX]);
    inject_gp(vcpu);
}

static void exit_rdmsr(struct vcpu *vcpu)
{
    u64 value;

    if (msr_read(vcpu, vcpu->regs[RCX], &value)) {
        refuse_msr(vcpu, "read");
        return;
    }
    vcpu->regs[RAX] = (u32)value;
    vcpu->regs[RDX] = value >> 32;
    vcpu_skip(vcpu);
}

static void exit_wrmsr(struct vcpu *vcpu)
{
    int err = msr_write(vcpu, vcpu->regs[RCX], vcpu->regs[RDX] << 32 | (u32)vcpu->regs[RAX]);

    if (err == -EAGAIN)
        page_wait_begin(vcpu);
    else if (err)
        refuse_msr(vcpu, "write");
    else
        vcpu_skip(vcpu);
}

static void exit_undefined(struct vcpu *vcpu)
{
    inject_exception(vcpu, VECTOR_UD, 0);
}

static void exit_triple_fault(struct vcpu *vcpu)
{
    vm_triple_fault(vcpu, "triple fault");
}

static void exit_task_switch(struct vcpu *vcpu)
{
    vm_crash(vcpu, "hardware task switch: not supported (docs/exits.md)");
}

static void exit_entry_failed(struct vcpu *vcpu)
{
    vm_crash(vcpu, "the processor refused the guest state (code %#lx, info %#lx)", vcpu->exit.u.raw.code,
             vcpu->exit.u.raw.info[0]);
}

static void exit_entry_fault(struct vcpu *vcpu)
{
    vm_crash(vcpu, "VM entry raised %s", trap_name(vcpu->exit.u.raw.code));
}

static void exit_unknown(struct vcpu *vcpu)
{
    vm_crash(vcpu, "exit that was never asked for (code %#lx, info %#lx %#lx)", vcpu->exit.u.raw.code,
             vcpu->exit.u.raw.info[0], vcpu->exit.u.raw.info[1]);
}

const struct exit_handler exit_handlers[NR_EXITS] = {
    [EXIT_INTERRUPT] = { "interrupt", exit_interrupt },
    [EXIT_PREEMPT] = { "preempt", exit_interrupt },
    [EXIT_NMI] = { "nmi", exit_nothing },
    [EXIT_WINDOW] = { "window", exit_window },
    [EXIT_REENTER] = { "reenter", exit_nothing },
    [EXIT_CPUID] = { "cpuid", exit_cpuid },
    [EXIT_HLT] = { "hlt", exit_hlt },
    [EXIT_IO] = { "io", exit_io },
    [EXIT_RDMSR] = { "rdmsr", exit_rdmsr },
    [EXIT_WRMSR] = { "wrmsr", exit_wrmsr },
    [EXIT_CR] = { "cr", exit_cr },
    [EXIT_XSETBV] = { "xsetbv", exit_xsetbv },
    [EXIT_INVALIDATE] = { "invalidate", vcpu_skip },
    [EXIT_NPF] = { "npf", exit_npf },
    [EXIT_LOG_FULL] = { "log-full", exit_nothing },
    [EXIT_UNDEFINED] = { "undefined", exit_undefined },
    [EXIT_PROTECTED] = { "protected", inject_gp },
    [EXIT_TRIPLE_FAULT] = { "triple-fault", exit_triple_fault },
    [EXIT_TASK_SWITCH] = { "task-switch", exit_task_switch },
    [EXIT_ENTRY_FAILED] = { "entry-failed", exit_entry_failed },
    [EXIT_ENTRY_FAULT] = { "entry-fault", exit_entry_fault },
    [EXIT_UNKNOWN] = { "unknown", exit_unknown },
};

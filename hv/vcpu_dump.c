/* SPDX-License-Identifier: BSD-2-Clause */
/* A vcpu in words, for the log: what the guest sees, then what its backend knows, then what has happened last. */
#define LOG_PREFIX "vm"
#include "host/cpu.h"
#include "host/log.h"
#include "hv/backend.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define TRACE_TAIL 16

static void dump_registers(const struct vcpu *vcpu)
{
    static const char *const names[NR_GPRS] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };

    for (unsigned i = 0; i < NR_GPRS; i += 4)
        pr_err("  %-3s %016lx  %-3s %016lx  %-3s %016lx  %-3s %016lx", names[i], vcpu->regs[i], names[i + 1],
               vcpu->regs[i + 1], names[i + 2], vcpu->regs[i + 2], names[i + 3], vcpu->regs[i + 3]);
}

static const char *mode_name(const struct vcpu *vcpu, const struct vcpu_state *state)
{
    u32 cs = state->seg[SEG_CS].attr;

    if (!(state->cr0 & CR0_PE))
        return "real";
    if (vcpu->rflags & RFLAGS_VM)
        return "virtual-8086";
    if (state->efer & EFER_LMA)
        return cs & SEG_L ? "64-bit" : "compatibility";
    return cs & SEG_DB ? "32-bit protected" : "16-bit protected";
}

static void dump_segment(const char *name, const struct segment *segment)
{
    u32 attr = segment->attr;

    pr_err("  %-4s %04x base %016lx limit %08x %s type %lx dpl %lu%s%s%s", name, segment->selector, segment->base,
           segment->limit, attr & SEG_UNUSABLE ? "unusable" : "usable", field_get(SEG_TYPE, attr),
           field_get(SEG_DPL, attr), attr & SEG_L ? " L" : "", attr & SEG_DB ? " D/B" : "", attr & SEG_G ? " G" : "");
}

static void dump_state(const struct vcpu_state *state)
{
    static const char *const names[NR_SEGS] = { "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr" };

    pr_err("  cr0 %#lx cr3 %#lx cr4 %#lx efer %#lx pat %#lx dr6 %#lx dr7 %#lx", state->cr0, state->cr3, state->cr4,
           state->efer, state->pat, state->dr6, state->dr7);
    for (unsigned i = 0; i < NR_SEGS; i++)
        dump_segment(names[i], &state->seg[i]);
    pr_err("  gdtr base %016lx limit %04x, idtr base %016lx limit %04x", state->gdtr.base, state->gdtr.limit,
           state->idtr.base, state->idtr.limit);
    pr_err("  star %#lx lstar %#lx cstar %#lx fmask %#lx kernel gs %#lx", state->syscall.star, state->syscall.lstar,
           state->syscall.cstar, state->syscall.fmask, state->syscall.kernel_gs_base);
    pr_err("  sysenter cs %#lx esp %#lx eip %#lx", state->sysenter.cs, state->sysenter.esp, state->sysenter.eip);
}

void vcpu_dump(struct vcpu *vcpu)
{
    struct vcpu_state state;

    backend()->get(vcpu, &state, STATE_ALL);
    pr_err("%s/%u: exit %s, %s mode, rip %#lx rflags %#lx cr2 %#lx shadow %u", vcpu->vm->name, vcpu->id,
           exit_handlers[vcpu->exit.kind].name, mode_name(vcpu, &state), vcpu->rip, vcpu->rflags, vcpu->cr2,
           vcpu->shadow);
    dump_registers(vcpu);
    dump_state(&state);
    backend()->dump(vcpu);
    trace_dump(&this_cpu()->trace, TRACE_TAIL);
}

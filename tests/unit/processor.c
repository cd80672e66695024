/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/processor.h"

#include <asm/prctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "host/msr_index.h"

struct processor processor;

static u64 edx_eax(const greg_t *regs)
{
    return (u64)regs[REG_RDX] << 32 | (u32)regs[REG_RAX];
}

static void edx_eax_put(greg_t *regs, u64 value)
{
    regs[REG_RAX] = (u32)value;
    regs[REG_RDX] = (greg_t)(value >> 32);
}

static void call(void (*fn)(void))
{
    if (fn)
        fn();
}

/* Execute the instruction. Returns its length, or 0: the hypervisor would fault, too. */
static unsigned execute(const u8 *code, greg_t *regs)
{
    static const u8 sti_hlt[] = { 0xFB, 0xF4 }, sti[] = { 0xFB }, cli[] = { 0xFA };
    static const u8 rdmsr[] = { 0x0F, 0x32 }, wrmsr[] = { 0x0F, 0x30 }, xsetbv[] = { 0x0F, 0x01, 0xD1 };

    if (!memcmp(code, sti_hlt, sizeof(sti_hlt))) {
        call(processor.sleeps);
        return sizeof(sti_hlt);
    }
    if (!memcmp(code, sti, sizeof(sti))) {
        call(processor.takes_interrupts);
        return sizeof(sti);
    }
    if (!memcmp(code, cli, sizeof(cli)))
        return sizeof(cli);
    if (!memcmp(code, rdmsr, sizeof(rdmsr)) && (u32)regs[REG_RCX] == MSR_TSC_AUX) {
        edx_eax_put(regs, processor.tsc_aux);
        return sizeof(rdmsr);
    }
    if (!memcmp(code, wrmsr, sizeof(wrmsr)) && (u32)regs[REG_RCX] == MSR_TSC_AUX) {
        processor.tsc_aux = edx_eax(regs);
        return sizeof(wrmsr);
    }
    if (!memcmp(code, xsetbv, sizeof(xsetbv)) && !regs[REG_RCX]) {
        processor.xcr0 = edx_eax(regs);
        return sizeof(xsetbv);
    }
    return 0;
}

/* A fault that is none of these happens once more without this handler, and ends the program. */
static void trapped(int number, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    unsigned len = info->si_code == SI_KERNEL ? execute((const u8 *)regs[REG_RIP], regs) : 0;

    if (!len)
        signal(number, SIG_DFL);
    regs[REG_RIP] += len;
}

void processor_run_as(struct cpu *cpu)
{
    const struct sigaction action = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER };

    cpu->self = cpu;
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, cpu) || sigaction(SIGSEGV, &action, NULL))
        abort();
}

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

/* The general register that an instruction names by `low`, three bits, and a bit of its prefix. */
static greg_t *general(greg_t *regs, unsigned low, bool high)
{
    static const u8 number[] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                 REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

    return &regs[number[(low & 7) + 8 * high]];
}

#define REX_R 4
#define REX_B 1
#define CF_ZF 0x41 /* of RFLAGS: a VMX instruction has failed */

/* Instructions with a second opcode byte and two registers. As `execute`. */
static unsigned execute_two_registers(const u8 *code, greg_t *regs)
{
    u8 rex = (code[0] & 0xF0) == 0x40 ? *code++ : 0, modrm = code[2];
    greg_t *to = general(regs, modrm, rex & REX_B), *field = general(regs, modrm >> 3, rex & REX_R);
    unsigned len = 3 + !!rex, number = modrm >> 3 & 7;

    if (code[0] != 0x0F || modrm < 0xC0)
        return 0;
    if (code[1] == 0x20 && number == 4)
        *to = (greg_t)processor.cr4;
    else if (code[1] == 0x21 && number == 6)
        *to = (greg_t)processor.dr6;
    else if (code[1] == 0x23 && number == 6)
        processor.dr6 = (u64)*to;
    else if (code[1] == 0x78 && processor.vmcs)
        *to = (greg_t)*processor.vmcs((u32)*field);
    else if (code[1] == 0x79 && processor.vmcs)
        *processor.vmcs((u32)*field) = (u64)*to;
    else
        return 0;
    if (code[1] >= 0x78)
        regs[REG_EFL] &= ~CF_ZF;
    return len;
}

#define IN_IMM 0xE4 /* AL, from a port that the next byte says */
#define IN_DX 0xEC
#define IN_TO_OUT 2 /* the bit that makes OUT of either */

static bool is_io(const u8 *code)
{
    return (code[0] & ~IN_TO_OUT) == IN_IMM || (code[0] & ~IN_TO_OUT) == IN_DX;
}

/* IN and OUT of a byte. Returns the length. */
static unsigned execute_io(const u8 *code, greg_t *regs)
{
    bool by_dx = (code[0] & ~IN_TO_OUT) == IN_DX;
    u16 port = by_dx ? (u16)regs[REG_RDX] : code[1];

    if (code[0] & IN_TO_OUT)
        processor.out(port, (u8)regs[REG_RAX]);
    else
        regs[REG_RAX] = (regs[REG_RAX] & ~0xFFLL) | processor.in(port);
    return by_dx ? 1 : 2;
}

/* Execute the instruction. Returns its length, or 0: the hypervisor would fault, too. */
static unsigned execute(const u8 *code, greg_t *regs)
{
    static const u8 sti_hlt[] = { 0xFB, 0xF4 }, sti[] = { 0xFB }, cli[] = { 0xFA };
    static const u8 int2[] = { 0xCD, 0x02 }, stgi[] = { 0x0F, 0x01, 0xDC }, clgi[] = { 0x0F, 0x01, 0xDD };
    static const u8 rdmsr[] = { 0x0F, 0x32 }, wrmsr[] = { 0x0F, 0x30 }, xsetbv[] = { 0x0F, 0x01, 0xD1 };

    if (processor.in && is_io(code))
        return execute_io(code, regs);
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
    if (!memcmp(code, stgi, sizeof(stgi)) || !memcmp(code, clgi, sizeof(clgi))) {
        processor.gif = code[2] == stgi[2];
        return sizeof(stgi);
    }
    if (!memcmp(code, int2, sizeof(int2))) {
        processor.nmis++;
        return sizeof(int2);
    }
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
    return execute_two_registers(code, regs);
}

/* A fault that is none of these happens once more without this handler, and ends the program. */
static void trapped(int number, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    bool by_instruction = number == SIGILL || info->si_code == SI_KERNEL;
    unsigned len = by_instruction ? execute((const u8 *)regs[REG_RIP], regs) : 0;

    if (!len)
        signal(number, SIG_DFL);
    regs[REG_RIP] += len;
}

void processor_run_as(struct cpu *cpu)
{
    const struct sigaction action = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER };

    cpu->self = cpu;
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, cpu) || sigaction(SIGSEGV, &action, NULL) ||
        sigaction(SIGILL, &action, NULL))
        abort();
}

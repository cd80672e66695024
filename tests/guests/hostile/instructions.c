/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that a guest does not have, must not use, or that may do nothing; and single steps over exits. */
#include "tests/guests/hostile/hostile.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

#define ANY (-2) /* nothing, #DB, #UD and #GP are all right: processors differ, the point is to be there afterwards */

struct snippet {
    const char *name;
    int vector;
    u8 code[16]; /* up to the last byte that is not 0; RET follows */
};

#define CODE32_RING3 0x00cffb000000ffffULL

static u8 code[32];
static u8 operand[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

static const struct snippet virtualization[] = {
    { "vmcall", X86_UD, { 0x0F, 0x01, 0xC1 } },
    { "vmlaunch", X86_UD, { 0x0F, 0x01, 0xC2 } },
    { "vmresume", X86_UD, { 0x0F, 0x01, 0xC3 } },
    { "vmxoff", X86_UD, { 0x0F, 0x01, 0xC4 } },
    { "vmxon", X86_UD, { 0xF3, 0x0F, 0xC7, 0x37 } },
    { "vmptrld", X86_UD, { 0x0F, 0xC7, 0x37 } },
    { "vmclear", X86_UD, { 0x66, 0x0F, 0xC7, 0x37 } },
    { "vmptrst", X86_UD, { 0x0F, 0xC7, 0x3F } },
    { "vmread", X86_UD, { 0x0F, 0x78, 0xC1 } },
    { "vmwrite", X86_UD, { 0x0F, 0x79, 0xC1 } },
    { "invept", X86_UD, { 0x66, 0x0F, 0x38, 0x80, 0x07 } },
    { "invvpid", X86_UD, { 0x66, 0x0F, 0x38, 0x81, 0x07 } },
    { "vmfunc", X86_UD, { 0x0F, 0x01, 0xD4 } },
    { "vmrun", X86_UD, { 0x0F, 0x01, 0xD8 } },
    { "vmmcall", X86_UD, { 0x0F, 0x01, 0xD9 } },
    { "vmload", X86_UD, { 0x0F, 0x01, 0xDA } },
    { "vmsave", X86_UD, { 0x0F, 0x01, 0xDB } },
    { "stgi", X86_UD, { 0x0F, 0x01, 0xDC } },
    { "clgi", X86_UD, { 0x0F, 0x01, 0xDD } },
    { "skinit", X86_UD, { 0x0F, 0x01, 0xDE } },
    { "invlpga", X86_UD, { 0x0F, 0x01, 0xDF } },
    { "getsec", X86_UD, { 0x0F, 0x37 } },
    { "rsm", X86_UD, { 0x0F, 0xAA } },
};

static const struct snippet instructions[] = {
    { "ud2", X86_UD, { 0x0F, 0x0B } },
    { "int3", X86_BP, { 0xCC } },
    { "into", X86_UD, { 0xCE } },
    { "icebp", ANY, { 0xF1 } },
    { "lock nop", X86_UD, { 0xF0, 0x90 } },
    { "fifteen prefixes",
      X86_GP,
      { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90 } },
    { "syscall without SCE", X86_UD, { 0x0F, 0x05 } },
    { "sysenter without a target", ANY, { 0x0F, 0x34 } },
    { "mov to cr1", X86_UD, { 0x0F, 0x22, 0xC8 } },
    { "mov from cr5", X86_UD, { 0x0F, 0x20, 0xE8 } },
    { "divide by 0", X86_DE, { 0xF7, 0xF1 } },
    { "wbinvd", ANY, { 0x0F, 0x09 } },
    { "invd", ANY, { 0x0F, 0x08 } },
    { "pause", FAULT_NONE, { 0xF3, 0x90 } },
    { "rdtsc", FAULT_NONE, { 0x0F, 0x31 } },
    { "rdtscp", ANY, { 0x0F, 0x01, 0xF9 } },
    { "rdpmc", ANY, { 0x0F, 0x33 } },
    { "monitor", ANY, { 0x0F, 0x01, 0xC8 } },
    { "invpcid", ANY, { 0x66, 0x0F, 0x38, 0x82, 0x07 } },
    { "xsetbv", ANY, { 0x0F, 0x01, 0xD1 } },
    { "xsaves", ANY, { 0x0F, 0xC7, 0x2F } },
    { "rdrand", ANY, { 0x0F, 0xC7, 0xF0 } },
    { "rdseed", ANY, { 0x0F, 0xC7, 0xF8 } },
    { "encls", ANY, { 0x0F, 0x01, 0xCF } },
};

static const struct snippet user[] = {
    { "hlt", X86_GP, { 0xF4 } },
    { "cli", X86_GP, { 0xFA } },
    { "in", X86_GP, { 0xE4, 0x80 } },
    { "out", X86_GP, { 0xE6, 0x80 } },
    { "ins", X86_GP, { 0x6C } },
    { "mov from cr0", X86_GP, { 0x0F, 0x20, 0xC0 } },
    { "mov to cr3", X86_GP, { 0x0F, 0x22, 0xD8 } },
    { "mov to cr8", X86_GP, { 0x44, 0x0F, 0x22, 0xC0 } },
    { "mov from dr7", X86_GP, { 0x0F, 0x21, 0xF8 } },
    { "rdmsr", X86_GP, { 0x0F, 0x32 } },
    { "wrmsr", X86_GP, { 0x0F, 0x30 } },
    { "invlpg", X86_GP, { 0x0F, 0x01, 0x3F } },
    { "invd", X86_GP, { 0x0F, 0x08 } },
    { "wbinvd", X86_GP, { 0x0F, 0x09 } },
    { "lidt", X86_GP, { 0x0F, 0x01, 0x1F } },
    { "clts", X86_GP, { 0x0F, 0x06 } },
    { "int to a gate of ring 0", X86_GP, { 0xCD, 0x70 } },
    { "cpuid", FAULT_NONE, { 0x53, 0x0F, 0xA2, 0x5B } },
};

/* %rdi points to a page of zeroes; %rax, %rcx and %rdx are 0. */
static void code_run(u64 unused)
{
    u64 zero = 0, c = 0, d = 0;
    void *di = operand;

    (void)unused;
    asm volatile("call *%4" : "+a"(zero), "+c"(c), "+d"(d), "+D"(di) : "b"(code) : "memory", "cc", "r11");
}

static void snippets_run(const struct snippet *list, unsigned n, struct fault (*how)(void (*)(u64), u64))
{
    for (const struct snippet *s = list; s < list + n; s++) {
        unsigned length = sizeof(s->code);
        struct fault f;

        while (length && !s->code[length - 1])
            length--;
        memcpy(code, s->code, length);
        code[length] = 0xC3;
        f = how(code_run, 0);
        if (s->vector == ANY)
            report(s->name, f.vector == FAULT_NONE || f.vector == X86_DB || f.vector == X86_UD || f.vector == X86_GP);
        else
            report_fault(s->name, f, s->vector);
    }
}

void attack_virtualization(void)
{
    snippets_run(virtualization, ARRAY_SIZE(virtualization), fault_catch);
}

void attack_instructions(void)
{
    snippets_run(instructions, ARRAY_SIZE(instructions), fault_catch);
}

void attack_user(void)
{
    snippets_run(user, ARRAY_SIZE(user), fault_catch_user);
}

static u64 stepped_to;

static void debug_handler(struct trap_frame *frame)
{
    stepped_to = frame->rip;
    frame->rflags &= ~(u64)RFLAGS_TF;
}

/* The trap comes behind the one instruction, though the hypervisor and not the processor has executed it. */
#define STEP_OVER(name, instruction)                                                                       \
    do {                                                                                                   \
        u64 behind;                                                                                        \
        u32 a = 0, c = MSR_EFER, d = 0x80;                                                                 \
                                                                                                           \
        stepped_to = 0;                                                                                    \
        asm volatile("pushfq; orq $0x100, (%%rsp); lea 1f(%%rip), %0; popfq; " instruction "; 1: nop; nop" \
                     : "=&r"(behind), "+a"(a), "+c"(c), "+d"(d)                                            \
                     : "D"(lapic_mmio(LAPIC_ID))                                                           \
                     : "rbx", "memory", "cc");                                                             \
        report_equal(name, stepped_to, behind);                                                            \
    } while (0)

void attack_single_step(void)
{
    trap_handle(X86_DB, debug_handler);
    STEP_OVER("nop", "nop");
    STEP_OVER("cpuid", "cpuid");
    STEP_OVER("rdmsr", "rdmsr");
    STEP_OVER("in", "in %%dx, %%al");
    STEP_OVER("lapic read", "mov (%%rdi), %%eax");
    trap_handle(X86_DB, NULL);
}

/*
 * What any 32-bit program can do to a 64-bit kernel: SYSENTER leaves RFLAGS.TF alone, so the kernel's first instruction
 * is stepped over. QEMU's TCG leaves CS a 64-bit and a 32-bit segment in one.
 */
void attack_fast_call(void)
{
    kit_gdt[KIT_SCRATCH / 8] = CODE32_RING3;
    wrmsr(MSR_SYSENTER_CS, KIT_CS64);
    wrmsr(MSR_SYSENTER_ESP, (u64)fast_call_stack);
    wrmsr(MSR_SYSENTER_EIP, (u64)fast_call_target);

    struct fault f = fault_catch_user((void (*)(u64))fast_call, 0);

    report_fault("SYSENTER under TF", f, X86_DB);
    report_equal("SYSENTER under TF: RIP", f.rip, (u64)fast_call_target);
    wrmsr(MSR_SYSENTER_CS, 0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Control, extended and debug registers with values that they must refuse. */
#include "tests/guests/hostile/hostile.h"
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/modes.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

static void set_cr0(u64 value)
{
    write_cr0(value);
}

static void set_cr3(u64 value)
{
    write_cr3(value);
}

static void set_cr4(u64 value)
{
    write_cr4(value);
}

static void set_cr8(u64 value)
{
    write_cr8(value);
}

static void set_efer(u64 value)
{
    wrmsr(MSR_EFER, value);
}

static void refuse(const char *name, void (*set)(u64), u64 value)
{
    report_error(name, fault_catch(set, value), X86_GP, 0);
}

static void refuse_cr4(u64 cr4)
{
    static const u8 reserved[] = { 15, 19, 26, 31, 32, 47, 63 };

    for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++)
        refuse("CR4, reserved bit", set_cr4, cr4 | BIT(reserved[i]));
    refuse("CR4.VMXE", set_cr4, cr4 | CR4_VMXE);
    refuse("CR4.SMXE", set_cr4, cr4 | CR4_SMXE);
    refuse("CR4.PAE off in long mode", set_cr4, cr4 & ~(u64)CR4_PAE);
    if (!(cpuid(1, 0).ecx & BIT(26)))
        refuse("CR4.OSXSAVE without XSAVE", set_cr4, cr4 | CR4_OSXSAVE);
}

static void refuse_efer(u64 efer)
{
    static const u8 reserved[] = { 1, 7, 9, 16, 31, 32, 63 };

    for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++)
        refuse("EFER, reserved bit", set_efer, efer | BIT(reserved[i]));
    refuse("EFER.SVME", set_efer, efer | EFER_SVME);
    refuse("EFER.LME off with paging on", set_efer, efer & ~(u64)EFER_LME);
}

void attack_registers(void)
{
    u64 cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer = rdmsr(MSR_EFER);

    if (!on_godwit("all"))
        return;
    refuse("CR0.PG without PE", set_cr0, cr0 & ~(u64)CR0_PE);
    refuse("CR0.NW without CD", set_cr0, (cr0 & ~(u64)CR0_CD) | CR0_NW);
    refuse("CR0.PG off in 64-bit code", set_cr0, cr0 & ~(u64)CR0_PG);
    refuse("CR0, upper half", set_cr0, cr0 | BIT(32));
    refuse("CR3, reserved bit", set_cr3, cr3 | BIT(62));
    refuse("CR8 of 16", set_cr8, 16);
    refuse_cr4(cr4);
    refuse_efer(efer);
    write_cr0((cr0 | CR0_CD) & ~0x10ULL);
    report_equal("CR0.CD is taken and ET stays", read_cr0(), cr0 | CR0_CD | 0x10);
    write_cr0(cr0);
    report("nothing has changed",
           read_cr0() == cr0 && read_cr3() == cr3 && read_cr4() == cr4 && rdmsr(MSR_EFER) == efer);
}

static void set_dr6(u64 value)
{
    asm volatile("mov %0, %%dr6" : : "r"(value));
}

static void set_dr7(u64 value)
{
    asm volatile("mov %0, %%dr7" : : "r"(value));
}

static u64 hits;

static void debug_handler(struct trap_frame *frame)
{
    hits++;
    frame->rflags |= BIT(16); /* RF: go on over the breakpoint */
}

static __attribute__((noinline)) void breakpoint_here(void)
{
    asm volatile("nop");
}

#define DR7_FIXED 0x400
#define DR7_L0 0x1 /* breakpoint 0: execution, as type and length are 0 */

/* In QEMU 7.2 not if this vcpu may leave its CPU for another meanwhile (docs/svm.md); the command line knows. */
static bool breakpoints_are_kept(void)
{
    char word[8];
    bool lost = boot_option("breakpoints", word, sizeof(word)) && strcmp(word, "lost") == 0;

    if (lost)
        report_skip("a breakpoint hits over exits", "the emulator loses it with the CPU");
    return !lost;
}

void attack_debug_registers(void)
{
    u64 value;

    if (on_godwit("upper halves")) {
        report_error("DR6, upper half", fault_catch(set_dr6, BIT(32)), X86_GP, 0);
        report_error("DR7, upper half", fault_catch(set_dr7, BIT(32)), X86_GP, 0);
    }
    trap_handle(X86_DB, debug_handler);
    asm volatile("mov %0, %%dr0" : : "r"(breakpoint_here));
    set_dr7(DR7_FIXED | DR7_L0);
    cpuid(0, 0);
    breakpoint_here();
    cpuid(0, 0);
    breakpoint_here();
    set_dr7(DR7_FIXED);
    trap_handle(X86_DB, NULL);
    if (breakpoints_are_kept())
        report_equal("a breakpoint hits over exits", hits, 2);
    asm volatile("mov %%dr0, %0" : "=r"(value));
    report_equal("DR0 stays over exits", value, (u64)breakpoint_here);
}

void attack_modes(void)
{
    report_equal("EFER.LME on and CR4.PAE off", protected_call(lme_without_pae), 0x600D);
}

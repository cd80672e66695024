/* SPDX-License-Identifier: BSD-2-Clause */
/* modes: from long mode through every older mode and back; each proves by its own code that it is what it says. */
#include "tests/guests/modes/modes.h"
#include "tests/guests/modes/visits.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/modes.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"

const char guest_name[] = "modes";

/* What is common to the 32-bit modes. */
static void check_32bit(const char *mode, u32 selector)
{
    report_prefix(mode);
    kprintf("%s: cr0 %x cr4 %x efer %x cs %x\n", mode, visit.cr0, visit.cr4, visit.efer, visit.cs);
    report_equal("code selector", visit.cs, selector);
    report_equal("code is 32 bits wide", visit.width, 0x20001);
    report("cpuid answers", memcmp(visit.vendor, boot.vendor, 12) == 0);
}

static void check_compat(void)
{
    memset(&visit, 0, sizeof(visit));
    compat_call(compat_visit);
    check_32bit("compatibility mode", KIT_CS32);
    report_equal("EFER has LMA", visit.efer & EFER_LMA, EFER_LMA);
}

static void check_protected(void)
{
    memset(&visit, 0, sizeof(visit));
    protected_call(protected_visit);
    check_32bit("protected mode", KIT_CS32);
    report_equal("CR0 has PE and not PG", visit.cr0 & (CR0_PE | CR0_PG), CR0_PE);
    report_equal("EFER has neither LME nor LMA", visit.efer & (EFER_LME | EFER_LMA), 0);
}

static void check_paged(const char *mode, const void *fn, u32 cr4)
{
    memset(&visit, 0, sizeof(visit));
    window = WINDOW_VALUE;
    protected_call(fn);
    check_32bit(mode, KIT_CS32);
    report_equal("CR0 has PE and PG", visit.cr0 & (CR0_PE | CR0_PG), CR0_PE | CR0_PG);
    report_equal("CR4", visit.cr4 & (CR4_PSE | CR4_PAE), cr4);
    report_equal("EFER has neither LME nor LMA", visit.efer & (EFER_LME | EFER_LMA), 0);
    report_equal("reads through its tables", visit.result, WINDOW_VALUE);
    report_equal("writes through its tables", window, (u32)~WINDOW_VALUE);
}

static void check_real(void)
{
    real_call(real_portrait);
    report_prefix("real mode");
    kprintf("real mode: cr0 %x cr4 %x efer %x cs %x\n", real_visit.cr0, real_visit.cr4, real_visit.efer, real_visit.cs);
    report_equal("CR0 has neither PE nor PG", real_visit.cr0 & (CR0_PE | CR0_PG), 0);
    report_equal("code segment", real_visit.cs, 0);
    report_equal("code is 16 bits wide", real_visit.width, 0x10000);
    report("cpuid answers", memcmp(real_visit.vendor, boot.vendor, 12) == 0);
    report_equal("segment arithmetic", real_call(real_segments), REAL_ARITHMETIC);
    report_equal("far call and return", real_call(real_far), 0x11);
    report_equal("software interrupt", real_call(real_int), REAL_INT_RESULT);
    report_equal("divide error", real_call(real_divide), 1);
    report_equal("in, out, ins, outs", real_call(real_ports), 0x5AA5);
    report_equal("rep outs to the console", real_call(real_outs), 0);
    report_equal("big real mode reads above 1 MiB", real_call(real_unreal), WINDOW_VALUE);
}

static void check_long(u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
    report_prefix("long mode again");
    report_equal("CR0", read_cr0(), cr0);
    report_equal("CR3", read_cr3(), cr3);
    report_equal("CR4", read_cr4(), cr4);
    report_equal("EFER", rdmsr(MSR_EFER), efer);
}

void guest_main(void)
{
    u64 cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer = rdmsr(MSR_EFER);

    check_compat();
    check_protected();
    check_paged("32-bit paging", paging32_visit, CR4_PSE);
    check_paged("PAE paging", pae_visit, CR4_PAE);
    check_real();
    check_long(cr0, cr3, cr4, efer);
    report_prefix(NULL);
    for (int i = 0; i < 20; i++)
        real_call(real_segments);
    report_equal("twenty more round trips", real_call(real_int), REAL_INT_RESULT);
}

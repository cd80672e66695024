/* SPDX-License-Identifier: BSD-2-Clause */
/* Page faults have the right error code and CR2, and come for the right reasons only. SDM 3A "Page-Fault Exceptions".
 */
#include "tests/guests/memory/memory.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/trap.h"
#include "host/bits.h"

#define PAGE WINDOW(7)
#define ADDRESS (PAGE + 0x128)
#define OPCODE_RET 0xC3

#define CPUID_SMEP BIT(7)  /* CPUID.7.0:EBX */
#define CPUID_SMAP BIT(20) /* CPUID.7.0:EBX */

static void do_read(u64 address)
{
    (void)*(volatile u64 *)address;
}

static void do_write(u64 address)
{
    *(volatile u64 *)address = OPCODE_RET;
}

static void do_execute(u64 address)
{
    ((void (*)(void))address)();
}

/* One access to one kind of page. */
static const struct access {
    const char *name;
    u64 flags;
    void (*fn)(u64);
    bool user;
    int vector;
    u64 error;
} accesses[] = {
    { "read, not present", 0, do_read, false, X86_PF, 0 },
    { "write, not present", 0, do_write, false, X86_PF, PF_W },
    { "execute, not present", 0, do_execute, false, X86_PF, PF_I },
    { "read, present", PTE_P, do_read, false, FAULT_NONE, 0 },
    { "write, read-only", PTE_P, do_write, false, X86_PF, PF_P | PF_W },
    { "write, writable", PTE_P | PTE_W, do_write, false, FAULT_NONE, 0 },
    { "execute", PTE_P, do_execute, false, FAULT_NONE, 0 },
    { "execute, no-execute", PTE_P | PTE_NX, do_execute, false, X86_PF, PF_P | PF_I },
    { "read, no-execute", PTE_P | PTE_NX, do_read, false, FAULT_NONE, 0 },
    { "user read, not present", 0, do_read, true, X86_PF, PF_U },
    { "user read, supervisor page", PTE_P | PTE_W, do_read, true, X86_PF, PF_P | PF_U },
    { "user write, supervisor page", PTE_P | PTE_W, do_write, true, X86_PF, PF_P | PF_U | PF_W },
    { "user read, user page", PTE_P | PTE_U, do_read, true, FAULT_NONE, 0 },
    { "user write, read-only", PTE_P | PTE_U, do_write, true, X86_PF, PF_P | PF_U | PF_W },
    { "user execute, no-execute", PTE_P | PTE_U | PTE_NX, do_execute, true, X86_PF, PF_P | PF_U | PF_I },
    { "user execute", PTE_P | PTE_U, do_execute, true, FAULT_NONE, 0 },
};

static void test_access(const struct access *a)
{
    struct fault f;

    page_map(PAGE, (u64)frame_a, LEVEL_4K, a->flags);
    f = a->user ? fault_catch_user(a->fn, ADDRESS) : fault_catch(a->fn, ADDRESS);
    report_error(a->name, f, a->vector, a->error);
    if (a->vector == X86_PF)
        report_equal(a->name, f.cr2, ADDRESS);
}

/* Bits 20 to 13 of an entry for 2 MiB are reserved in every processor. */
static void test_reserved(void)
{
    u64 address = PAGE + GiB(1);
    struct fault f;

    page_map(address, MiB(2) | BIT(13), LEVEL_2M, PTE_P);
    f = fault_catch(do_read, address);
    f.error |= PF_P; /* QEMU's TCG leaves it out */
    report_error("read, reserved bit", f, X86_PF, PF_P | PF_RSVD);
    page_unmap(address, LEVEL_2M);
}

/* CR0.WP decides whether ring 0 may write read-only pages. */
static void test_write_protect(void)
{
    page_map(PAGE, (u64)frame_a, LEVEL_4K, PTE_P);
    write_cr0(read_cr0() & ~(u64)CR0_WP);
    report_error("write, read-only, CR0.WP off", fault_catch(do_write, ADDRESS), FAULT_NONE, 0);
    write_cr0(read_cr0() | CR0_WP);
    report_error("write, read-only, CR0.WP on", fault_catch(do_write, ADDRESS), X86_PF, PF_P | PF_W);
}

static void test_supervisor_mode(void)
{
    u32 features = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).ebx : 0;

    page_map(PAGE, (u64)frame_a, LEVEL_4K, PTE_P | PTE_W | PTE_U);
    if (features & CPUID_SMEP) {
        write_cr4(read_cr4() | CR4_SMEP);
        report_error("execute, user page, SMEP", fault_catch(do_execute, ADDRESS), X86_PF, PF_P | PF_I);
        write_cr4(read_cr4() & ~(u64)CR4_SMEP);
    } else {
        report_skip("SMEP", "not in CPUID");
    }
    if (features & CPUID_SMAP) {
        write_cr4(read_cr4() | CR4_SMAP);
        report_error("read, user page, SMAP", fault_catch(do_read, ADDRESS), X86_PF, PF_P);
        write_cr4(read_cr4() & ~(u64)CR4_SMAP);
    } else {
        report_skip("SMAP", "not in CPUID");
    }
}

void test_faults(void)
{
    report_prefix("faults");
    *(u64 *)(frame_a + (ADDRESS & ~PAGE_MASK)) = OPCODE_RET;
    for (unsigned i = 0; i < ARRAY_SIZE(accesses); i++)
        test_access(&accesses[i]);
    test_reserved();
    test_write_protect();
    test_supervisor_mode();
    page_unmap(PAGE, LEVEL_4K);
}

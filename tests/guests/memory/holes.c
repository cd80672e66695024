/* SPDX-License-Identifier: BSD-2-Clause */
/* Physical addresses where nothing is: reads give all ones in every width, writes go nowhere, and no frame appears. */
#include "tests/guests/memory/memory.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

static bool reads_ones(u64 address)
{
    volatile void *p = phys(address);

    return *(volatile u8 *)p == 0xFF && *(volatile u16 *)p == 0xFFFF && *(volatile u32 *)p == ~0U &&
           *(volatile u64 *)p == ~0ULL;
}

static void write_all(u64 address)
{
    volatile void *p = phys(address);

    *(volatile u8 *)p = 0;
    *(volatile u16 *)p = 0;
    *(volatile u32 *)p = 0;
    *(volatile u64 *)p = 0;
}

static void test_hole(const char *name, u64 address)
{
    if (boot_is_ram(address, 8)) {
        report_skip(name, "it is RAM");
        return;
    }
    kprintf("hole at 0x%lx\n", address);
    report(name, reads_ones(address));
    write_all(address);
    report(name, reads_ones(address));
}

/* Top of the physical addresses that CPUID admits. */
static u64 last_page(void)
{
    return (1ULL << (cpuid(0x80000008, 0).eax & 0xFF)) - PAGE_SIZE;
}

void test_holes(void)
{
    u64 high = boot_ram_end(~0ULL);

    report_prefix("holes");
    if (!boot.godwit) {
        report_skip("all", "another machine has devices there");
        return;
    }
    test_hole("behind low RAM", boot_ram_end(GiB(4)));
    test_hole("a large page behind low RAM", align_up(boot_ram_end(GiB(4)), MiB(2)) + 0x1238);
    test_hole("the PCI hole", 0xD0000000);
    test_hole("the last page below 4 GiB", 0xFFFFF000);
    test_hole("above 4 GiB", MAX(high, GiB(4)));
    test_hole("far above all RAM", align_up(high, GiB(64)));
    test_hole("the last page of all", last_page());
}

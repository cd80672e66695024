/* SPDX-License-Identifier: BSD-2-Clause */
/* Accessed and dirty bits in the guest's own tables. SDM 3A "Accessed and Dirty Flags". */
#include "tests/guests/memory/memory.h"

#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

#define BOTH (PTE_A | PTE_D)

static void test_level(const char *prefix, u64 address, u64 physical, enum page_level level)
{
    volatile u64 *p = (u64 *)address;
    volatile u64 *entry = page_entry(address, level);
    volatile u64 *above = page_entry(address, level + 1);

    report_prefix(prefix);
    page_map(address, physical, level, PTE_P | PTE_W);
    *above &= ~(u64)PTE_A;
    write_cr3(read_cr3());
    report_equal("clear at first", *entry & BOTH, 0);
    (void)*p;
    report_equal("a read sets A", *entry & BOTH, PTE_A);
    report_equal("... and A in the table above", *above & PTE_A, PTE_A);
    *p = 1;
    report_equal("a write sets D", *entry & BOTH, BOTH);
    *entry &= ~(u64)BOTH;
    invlpg(p);
    *p = 2;
    report_equal("a first write sets both", *entry & BOTH, BOTH);
    *entry &= ~(u64)BOTH;
    invlpg(p);
    report_equal("no access sets none", *entry & BOTH, 0);
    page_unmap(address, level);
}

void test_accessed_dirty(void)
{
    test_level("A/D of 4 KiB", WINDOW(5), (u64)frame_a, LEVEL_4K);
    test_level("A/D of 2 MiB", WINDOW(6), MiB(2), LEVEL_2M);
}

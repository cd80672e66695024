/* SPDX-License-Identifier: BSD-2-Clause */
/* memory: all of the RAM in the map is RAM, what is not is not, and the guest's own page tables do what they say. */
#include "tests/guests/memory/memory.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

const char guest_name[] = "memory";

u8 frame_a[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
u8 frame_b[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

volatile u64 *phys(u64 address)
{
    static u64 mapped = ~0ULL;
    u64 base = align_down(address, MiB(2));

    if (address < GiB(4))
        return (u64 *)address;
    if (mapped != base)
        page_map(WINDOW(8), base, LEVEL_2M, PTE_P | PTE_W);
    mapped = base;
    return (u64 *)(WINDOW(8) + address - base);
}

void guest_main(void)
{
    test_sweep();
    test_mappings();
    test_holes();
    test_accessed_dirty();
    test_faults();
    test_execute();
    report_prefix(NULL);
}

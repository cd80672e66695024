/* SPDX-License-Identifier: BSD-2-Clause */
/* One RAM by pages of 4 KiB, 2 MiB and 1 GiB; and that a translation changes when it is told to. */
#include "tests/guests/memory/memory.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

#define CPUID_1GIB BIT(26) /* CPUID.80000001:EDX */
#define PROBES 32

/* The nth of some pages spread over [2 MiB, end of low RAM). */
static u64 probe(unsigned n)
{
    u64 pages = (boot_ram_end(GiB(4)) - MiB(2)) / PAGE_SIZE;

    return MiB(2) + n * 0x9E3779B1ULL % pages * PAGE_SIZE + 8 * n;
}

static void map_probes(u64 window, enum page_level level)
{
    u64 size = PAGE_SIZE << 9 * (level - 1);

    for (unsigned n = 0; n < PROBES; n++) {
        u64 base = align_down(probe(n), size);

        page_map(window + base, base, level, PTE_P | PTE_W);
    }
}

/* Write through one window, read through another. */
static bool agree(u64 to, u64 from, u64 seed)
{
    bool equal = true;

    for (unsigned n = 0; n < PROBES; n++)
        *(volatile u64 *)(to + probe(n)) = seed + n;
    for (unsigned n = 0; n < PROBES; n++)
        equal = equal && *(volatile u64 *)(from + probe(n)) == seed + n;
    return equal;
}

static void test_sizes(void)
{
    map_probes(WINDOW(1), LEVEL_4K);
    map_probes(WINDOW(2), LEVEL_2M);
    report("4 KiB written, 2 MiB read", agree(WINDOW(1), WINDOW(2), 1000));
    report("2 MiB written, 4 KiB read", agree(WINDOW(2), WINDOW(1), 2000));
    report("2 MiB written, identity read", agree(WINDOW(2), 0, 3000));
    if (!(cpuid(0x80000001, 0).edx & CPUID_1GIB)) {
        report_skip("1 GiB", "not in CPUID");
        return;
    }
    map_probes(WINDOW(3), LEVEL_1G);
    report("1 GiB written, 4 KiB read", agree(WINDOW(3), WINDOW(1), 4000));
    report("2 MiB written, 1 GiB read", agree(WINDOW(2), WINDOW(3), 5000));
}

static void test_changes(void)
{
    volatile u64 *p = (u64 *)WINDOW(4);
    u64 *entry = page_entry(WINDOW(4), LEVEL_4K);

    *(u64 *)frame_a = 0xA;
    *(u64 *)frame_b = 0xB;
    page_map(WINDOW(4), (u64)frame_a, LEVEL_4K, PTE_P | PTE_W);
    report_equal("the first frame", *p, 0xA);
    *entry = (u64)frame_b | PTE_P | PTE_W;
    invlpg(p);
    report_equal("the second, after invlpg", *p, 0xB);
    *entry = (u64)frame_a | PTE_P | PTE_W;
    write_cr3(read_cr3());
    report_equal("the first again, after a write of CR3", *p, 0xA);
    page_unmap(WINDOW(4), LEVEL_4K);
}

/* A 16-byte copy that crosses from one frame to a distant one. */
static void test_crossing(void)
{
    u8 *p = (u8 *)WINDOW(4) + PAGE_SIZE - 7;

    page_map(WINDOW(4), (u64)frame_b, LEVEL_4K, PTE_P | PTE_W);
    page_map(WINDOW(4) + PAGE_SIZE, (u64)frame_a, LEVEL_4K, PTE_P | PTE_W);
    memcpy(p, "crossing a page", 16);
    *(volatile u64 *)(p + 3) ^= 0;
    report("an access across two frames",
           memcmp(frame_b + PAGE_SIZE - 7, "crossin", 7) == 0 && memcmp(frame_a, "g a page", 9) == 0);
    page_unmap(WINDOW(4), LEVEL_4K);
    page_unmap(WINDOW(4) + PAGE_SIZE, LEVEL_4K);
}

void test_mappings(void)
{
    report_prefix("mappings");
    test_sizes();
    test_changes();
    test_crossing();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* A walker that builds as it goes. */
#include "tests/guests/kit/paging.h"

#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

#define POOL_TABLES 64
#define TABLE_ADDRESS BITS(51, 12)

static u64 pool[POOL_TABLES][512] __attribute__((aligned(PAGE_SIZE)));
static unsigned pool_used;

static u64 *table_new(void)
{
    if (pool_used == POOL_TABLES) {
        report("the pool of page tables is large enough", false);
        report_end();
    }
    return pool[pool_used++];
}

u64 *page_entry(u64 address, enum page_level level)
{
    u64 *table = kit_pml4;

    for (int l = 4;; l--) {
        u64 *entry = &table[address >> (12 + 9 * (l - 1)) & 511];

        if (l == (int)level)
            return entry;
        if (!(*entry & PTE_P))
            *entry = (u64)table_new() | PTE_P | PTE_W | PTE_U;
        table = (u64 *)(*entry & TABLE_ADDRESS);
    }
}

void page_map(u64 address, u64 physical, enum page_level level, u64 flags)
{
    *page_entry(address, level) = physical | flags | (level == LEVEL_4K ? 0 : PTE_PS);
    invlpg((void *)address);
}

void page_unmap(u64 address, enum page_level level)
{
    *page_entry(address, level) = 0;
    invlpg((void *)address);
}

void page_image_user(bool user)
{
    u64 *entry = page_entry(0, LEVEL_2M);

    *entry = user ? *entry | PTE_U : *entry & ~(u64)PTE_U;
    write_cr3(read_cr3()); /* flushes the 4 KiB pieces that a CPU may have made of it */
}

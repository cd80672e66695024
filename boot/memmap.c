/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory map of the hand-over. Invariants of boot_info->mem after every call: sorted by base, not overlapping,
 * no two touching ranges of one kind.
 */
#include "boot/memmap.h"

static uint64_t mem_end(const struct boot_info_mem *mem)
{
    return mem->base + mem->size;
}

static void mem_remove(struct boot_info *boot_info, uint32_t at)
{
    boot_info->nr_mem--;
    for (uint32_t i = at; i < boot_info->nr_mem; i++)
        boot_info->mem[i] = boot_info->mem[i + 1];
}

/* Merge range at + 1 into range at, if they touch and are of one kind. */
static void mem_merge(struct boot_info *boot_info, uint32_t at)
{
    struct boot_info_mem *mem = &boot_info->mem[at];

    if (at + 1 >= boot_info->nr_mem || mem[0].kind != mem[1].kind || mem_end(&mem[0]) != mem[1].base)
        return;
    mem[0].size += mem[1].size;
    mem_remove(boot_info, at + 1);
}

bool memmap_add(struct boot_info *boot_info, uint64_t base, uint64_t size, uint32_t kind)
{
    struct boot_info_mem *mem = boot_info->mem;
    uint32_t at = boot_info->nr_mem;

    if (size == 0)
        return true;
    while (at > 0 && mem[at - 1].base > base)
        at--;
    if (base + size < base || (at > 0 && mem_end(&mem[at - 1]) > base) ||
        (at < boot_info->nr_mem && mem[at].base < base + size) || boot_info->nr_mem == BOOT_INFO_MAX_MEM)
        return false;
    for (uint32_t i = boot_info->nr_mem++; i > at; i--)
        mem[i] = mem[i - 1];
    mem[at] = (struct boot_info_mem){ .base = base, .size = size, .kind = kind };
    mem_merge(boot_info, at);
    if (at > 0)
        mem_merge(boot_info, at - 1);
    return true;
}

bool memmap_set_kind(struct boot_info *boot_info, uint64_t base, uint64_t size, uint32_t kind)
{
    struct boot_info_mem whole;
    uint32_t at = 0;

    while (at < boot_info->nr_mem && mem_end(&boot_info->mem[at]) <= base)
        at++;
    if (at == boot_info->nr_mem || boot_info->nr_mem + 2 > BOOT_INFO_MAX_MEM)
        return false;
    whole = boot_info->mem[at];
    if (base < whole.base || size > mem_end(&whole) - base)
        return false;
    mem_remove(boot_info, at);
    return memmap_add(boot_info, whole.base, base - whole.base, whole.kind) &&
           memmap_add(boot_info, base, size, kind) &&
           memmap_add(boot_info, base + size, mem_end(&whole) - (base + size), whole.kind);
}

uint64_t memmap_top(const struct boot_info *boot_info)
{
    for (uint32_t i = boot_info->nr_mem; i > 0; i--)
        if (boot_info->mem[i - 1].kind != MEM_RESERVED && boot_info->mem[i - 1].kind != MEM_MMIO)
            return mem_end(&boot_info->mem[i - 1]);
    return 0;
}

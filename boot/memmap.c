/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory map of the hand-over. Invariants of handoff->mem after every call: sorted by base, not overlapping,
 * no two touching ranges of one kind.
 */
#include "boot/memmap.h"

static uint64_t mem_end(const struct handoff_mem *mem)
{
    return mem->base + mem->size;
}

static void mem_remove(struct handoff *handoff, uint32_t at)
{
    handoff->nr_mem--;
    for (uint32_t i = at; i < handoff->nr_mem; i++)
        handoff->mem[i] = handoff->mem[i + 1];
}

/* Merge range at + 1 into range at, if they touch and are of one kind. */
static void mem_merge(struct handoff *handoff, uint32_t at)
{
    struct handoff_mem *mem = &handoff->mem[at];

    if (at + 1 >= handoff->nr_mem || mem[0].kind != mem[1].kind || mem_end(&mem[0]) != mem[1].base)
        return;
    mem[0].size += mem[1].size;
    mem_remove(handoff, at + 1);
}

bool memmap_add(struct handoff *handoff, uint64_t base, uint64_t size, uint32_t kind)
{
    struct handoff_mem *mem = handoff->mem;
    uint32_t at = handoff->nr_mem;

    if (size == 0)
        return true;
    while (at > 0 && mem[at - 1].base > base)
        at--;
    if (base + size < base || (at > 0 && mem_end(&mem[at - 1]) > base) ||
        (at < handoff->nr_mem && mem[at].base < base + size) || handoff->nr_mem == HANDOFF_MAX_MEM)
        return false;
    for (uint32_t i = handoff->nr_mem++; i > at; i--)
        mem[i] = mem[i - 1];
    mem[at] = (struct handoff_mem){ .base = base, .size = size, .kind = kind };
    mem_merge(handoff, at);
    if (at > 0)
        mem_merge(handoff, at - 1);
    return true;
}

bool memmap_claim(struct handoff *handoff, uint64_t base, uint64_t size, uint32_t kind)
{
    struct handoff_mem whole;
    uint32_t at = 0;

    while (at < handoff->nr_mem && mem_end(&handoff->mem[at]) <= base)
        at++;
    if (at == handoff->nr_mem || handoff->nr_mem + 2 > HANDOFF_MAX_MEM)
        return false;
    whole = handoff->mem[at];
    if (base < whole.base || size > mem_end(&whole) - base)
        return false;
    mem_remove(handoff, at);
    return memmap_add(handoff, whole.base, base - whole.base, whole.kind) && memmap_add(handoff, base, size, kind) &&
           memmap_add(handoff, base + size, mem_end(&whole) - (base + size), whole.kind);
}

uint64_t memmap_top(const struct handoff *handoff)
{
    for (uint32_t i = handoff->nr_mem; i > 0; i--)
        if (handoff->mem[i - 1].kind != MEM_RESERVED && handoff->mem[i - 1].kind != MEM_MMIO)
            return mem_end(&handoff->mem[i - 1]);
    return 0;
}

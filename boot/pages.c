/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loader's memory: pages of type EfiLoaderData, and a note of each range. Other memory types would survive into
 * the firmware's map by themselves, but some firmware mishandles types it does not know.
 */
#include "boot/pages.h"

#include <efilib.h>

#include "boot/failure.h"

/* The files, plus: configuration, image, hand-over struct, stack, page tables, memory map, trampoline. */
#define MAX_RANGES (CONFIG_MAX_FILES + 7)

static struct page_range ranges[MAX_RANGES];
static unsigned nr_ranges;

uint64_t pages_round(uint64_t size)
{
    return (size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

static void range_note(uint64_t base, uint64_t size, uint32_t kind)
{
    ranges[nr_ranges++] = (struct page_range){ base, size, kind };
}

/* Take more than is needed, because of the alignment, then give back the rest at both ends. */
static EFI_STATUS aligned_alloc(uint64_t size, uint64_t align, uint64_t *base)
{
    EFI_PHYSICAL_ADDRESS start;
    uint64_t slack = align - PAGE_SIZE, head;
    EFI_STATUS status = BS->AllocatePages(AllocateAnyPages, EfiLoaderData, (size + slack) / PAGE_SIZE, &start);

    if (EFI_ERROR(status))
        return status;
    *base = (start + slack) & ~(align - 1);
    head = *base - start;
    if (head > 0)
        BS->FreePages(start, head / PAGE_SIZE);
    if (head < slack)
        BS->FreePages(*base + size, (slack - head) / PAGE_SIZE);
    return EFI_SUCCESS;
}

EFI_STATUS pages_alloc(uint64_t size, uint64_t align, uint32_t kind, const char *what, void **memory)
{
    uint64_t base;
    EFI_STATUS status = EFI_OUT_OF_RESOURCES;

    size = pages_round(size);
    if (nr_ranges < MAX_RANGES)
        status = aligned_alloc(size, align, &base);
    if (EFI_ERROR(status))
        return failure_print(status, L"%a: not enough memory, %ld KiB needed", what, size >> 10);
    range_note(base, size, kind);
    *memory = (void *)base;
    __builtin_memset(*memory, 0, size);
    return EFI_SUCCESS;
}

uint64_t pages_alloc_below(uint64_t limit, uint32_t kind)
{
    EFI_PHYSICAL_ADDRESS base = limit - 1;

    if (nr_ranges == MAX_RANGES || EFI_ERROR(BS->AllocatePages(AllocateMaxAddress, EfiLoaderData, 1, &base)))
        return 0;
    range_note(base, PAGE_SIZE, kind);
    return base;
}

const struct page_range *pages_ranges(unsigned *count)
{
    *count = nr_ranges;
    return ranges;
}

void pages_free_all(void)
{
    while (nr_ranges > 0) {
        nr_ranges--;
        BS->FreePages(ranges[nr_ranges].base, ranges[nr_ranges].size / PAGE_SIZE);
    }
}

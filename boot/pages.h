/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loader's memory. Every page that the loader takes from the firmware is noted here with the kind that the
 * hypervisor is to see, so that the final memory map can say so and a failed start can give everything back.
 */
#pragma once

#include <efi.h>

#include "config/boot_info.h"

#define PAGE_SIZE 4096ULL
#define PAGES_ALIGN_LARGE (2ULL << 20)

struct page_range {
    uint64_t base, size; /* bytes, page aligned */
    uint32_t kind;       /* enum boot_info_mem_kind */
};

/* size bytes rounded up to pages. */
uint64_t pages_round(uint64_t size);

/*
 * Take size bytes of zeroed memory, anywhere, aligned to align (a power of two, at least PAGE_SIZE).
 * `what` names the purpose, for the message if there is not enough memory.
 */
EFI_STATUS pages_alloc(uint64_t size, uint64_t align, uint32_t kind, const char *what, void **memory);

/* Take one page that ends at or below limit; 0 if there is none. */
uint64_t pages_alloc_below(uint64_t limit, uint32_t kind);

/* All ranges taken so far. */
const struct page_range *pages_ranges(unsigned *count);

/* Give everything back to the firmware. */
void pages_free_all(void);

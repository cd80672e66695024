/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables beyond the identity map of the low 4 GiB, which is in start.S. Tests map into PAGING_TEST and upwards,
 * where nothing is mapped at the start.
 */
#pragma once

#include "tests/guests/kit/x86.h"
#include "host/types.h"

#define PAGING_TEST (1ULL << 39) /* the second entry of the PML4 and all after it */

enum page_level { LEVEL_4K = 1, LEVEL_2M = 2, LEVEL_1G = 3 };

extern u64 kit_pml4[512];

/*
 * The entry for `address` at that level; tables on the way are made, with all rights, from a small pool that is never
 * given back. Running out of it ends the guest.
 */
u64 *page_entry(u64 address, enum page_level level);

/* Map one page of that level; flags: PTE_*, PTE_P among them. PTE_PS is added where it belongs. Flushes the address. */
void page_map(u64 address, u64 physical, enum page_level level, u64 flags);

/* Set the entry to 0 and flush the address. */
void page_unmap(u64 address, enum page_level level);

/* Give ring 3 the image (all of the low 2 MiB), or take it away. */
void page_image_user(bool user);

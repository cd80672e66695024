/* SPDX-License-Identifier: BSD-2-Clause */
/* What the memory tests share. */
#pragma once

#include "host/types.h"

/* Windows into linear address space, 512 GiB apart. */
#define WINDOW(n) ((u64)(n) << 39)

/*
 * Pointer to physical memory: below 4 GiB the identity map, above it a window of 2 MiB, valid until the next call with
 * another address.
 */
volatile u64 *phys(u64 address);

/* Two page frames of this image for any use, at a 4 KiB boundary each. */
extern u8 frame_a[], frame_b[];

void test_sweep(void);
void test_mappings(void);
void test_holes(void);
void test_accessed_dirty(void);
void test_faults(void);
void test_execute(void);

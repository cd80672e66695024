/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's virtual address space. docs/memory.md draws it.
 *
 * - 0xffff8000_00000000: the direct map. All RAM of the memory map, writable, never executable. The image's own frames
 *   are left out, so that no frame is writable at one address and executable at another.
 * - 0xffffc000_00000000: stacks, in slots of 64 KiB; each slot is a guard gap with a stack above it.
 * - 0xffffd000_00000000: device registers, uncached.
 * - 0xffffe000_00000000: the heap of newlib's malloc.
 * - 0xffffffff_80000000: the image. Text is RX, rodata R, data and bss RW.
 */
#pragma once

#include "host/bits.h"

#define DIRECT_MAP_BASE 0xFFFF800000000000ULL
#define STACKS_BASE 0xFFFFC00000000000ULL
#define STACK_SLOT KiB(64)
#define DEVICES_BASE 0xFFFFD00000000000ULL
#define HEAP_BASE 0xFFFFE00000000000ULL
#define HEAP_MAX MiB(256)

#define STACK_SIZE KiB(16) /* of a CPU's run loop */
#define IST_STACK_SIZE KiB(8)

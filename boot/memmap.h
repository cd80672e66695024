/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory map of the hand-over: sorted, merged ranges out of the firmware's descriptors. Sees no EFI types. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/boot_info.h"

/*
 * Add a page-aligned range, merging it with neighbours of its kind. False if it overlaps one already there, wraps, or
 * finds the table full. An empty range changes nothing, and is true.
 */
bool memmap_add(struct boot_info *boot_info, uint64_t base, uint64_t size, uint32_t kind);

/* Give part of one existing range another kind. False if no range holds it all, or the table is full. */
bool memmap_set_kind(struct boot_info *boot_info, uint64_t base, uint64_t size, uint32_t kind);

/* The first address above all RAM. RAM is usable memory, the loader's, files, image and ACPI tables. */
uint64_t memmap_top(const struct boot_info *boot_info);

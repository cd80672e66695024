/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF64 images with a PVH entry note: the check, pure, and what a loader needs of the result. */
#pragma once

#include "guest/load/elf64.h"
#include "host/types.h"

#define GUEST_ELF_SEGMENTS 16

struct guest_elf {
    u32 entry; /* physical, from the PVH note */
    u32 nr_segments;
    struct elf64_segment segment[GUEST_ELF_SEGMENTS]; /* PT_LOAD only, file range checked */
    u64 end;                                          /* one past the highest physical byte */
};

/*
 * Check file[0..size) as an ELF64 image for a guest whose RAM below the PCI hole is `low_ram` bytes. Returns NULL, or
 * the reason to refuse it. Pure.
 */
const char *guest_elf_parse(struct guest_elf *image, const u8 *file, u64 size, u64 low_ram);

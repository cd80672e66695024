/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's ELF file: checked, and laid out in memory. Portable; sees no EFI types. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HYPERVISOR_SEGMENTS 8

/* The kernel code model links into the top 2 GiB; its first GiB is plenty. */
#define HYPERVISOR_VIRT_MIN 0xffffffff80000000ULL
#define HYPERVISOR_SIZE_MAX (1ULL << 30)

/* One PT_LOAD. */
struct elf_segment {
    uint64_t offset, file_size; /* bytes in the file */
    uint64_t virt, size;        /* page aligned address; bytes in memory */
    bool write, exec;           /* never both */
};

struct hypervisor_elf {
    uint64_t virt, size; /* the range from the first segment to the end of the last, page aligned */
    uint64_t entry;
    unsigned nr_segments;
    struct elf_segment segment[HYPERVISOR_SEGMENTS]; /* ascending, no page shared */
};

/*
 * Check the file in file[0..size), which is 8-byte aligned, and describe its image.
 * Returns NULL, or what is wrong and what would be right.
 */
const char *hypervisor_elf_parse(const void *file, uint64_t size, struct hypervisor_elf *image);

/* Copy the segments to memory, which stands for image->virt and holds image->size zero bytes. */
void hypervisor_elf_load(const struct hypervisor_elf *image, const void *file, void *memory);

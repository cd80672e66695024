/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux bzImage by the 64-bit boot protocol (Linux, Documentation/x86/boot.rst): check and layout, which are pure, and
 * the write into guest memory.
 */
#pragma once

#include "host/types.h"

struct guest_image;
struct guest_map;
struct vm;

/* Linux in memory; every field has been checked against the file and against the guest's RAM. */
struct bzimage {
    const u8 *header; /* setup header in the file, as boot_params want it */
    u64 header_size;
    u64 code, code_size; /* the protected-mode part: offset in the file */
    u64 base, init_size; /* where it is loaded, and the memory that it needs there before it reads the memory map */
    u64 initrd;          /* where the initrd is loaded */
    u64 needs;           /* bytes of RAM that would be enough; after a refusal, 0 if more memory would not help */
};

struct bzimage_request {
    const u8 *file;
    u64 size;
    u64 initrd_size; /* 0: none */
    u64 cmdline_length;
    u64 low_ram;  /* bytes from address 0 */
    u64 high_ram; /* bytes from 4 GiB */
};

/* Is this a bzImage at all, of whatever version? Pure. */
bool bzimage_probe(const u8 *file, u64 size);

/* Check the image and lay it out. Returns NULL, or the reason to refuse it. Pure. */
const char *bzimage_parse(struct bzimage *kernel, const struct bzimage_request *request);

/* Write the kernel into the VM's memory and put the boot vcpu at its entry. The VM has not started. */
void bzimage_load(struct vm *vm, const struct bzimage *kernel, const struct guest_image *image,
                  const struct guest_map *map);

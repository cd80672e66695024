/* SPDX-License-Identifier: BSD-2-Clause */
/* Putting a guest's image into its RAM and its first vcpu at the image's entry. Images come from outside: everything in
 * them is checked. */
#pragma once

#include "hv/lib/types.h"

struct vm;

struct guest_image {
    const void *kernel;
    u64 kernel_size;
    const void *initrd; /* NULL: none */
    u64 initrd_size;
    const char *cmdline;
};

/*
 * Load the image into vm, not yet started. Returns 0, or -EINVAL for an image that is refused: `reason` (of `size`
 * bytes) then says what is wrong and what would be right. Host loop.
 */
int guest_load(struct vm *vm, const struct guest_image *image, char *reason, size_t size);

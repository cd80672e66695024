/* SPDX-License-Identifier: BSD-2-Clause */
/* What a VM starts from, and starts anew from after a reset; and the loader, which puts it into the VM's RAM. */
#pragma once

#include <stdbool.h>

#include "config/config.h"
#include "host/types.h"

struct vm;

struct guest_file {
    const void *data; /* NULL: it is not among this machine's files */
    u64 size;         /* bytes; 0: no such file */
    u64 digest;       /* of them, config/digest.h */
};

/* All but the files' contents moves with the guest. */
struct guest_image {
    struct guest_file kernel, initrd; /* initrd.size 0: none */
    char cmdline[CONFIG_CMDLINE];
};

/* Are its files among this machine's? */
static inline bool guest_image_here(const struct guest_image *image)
{
    return image->kernel.data && (image->initrd.data || image->initrd.size == 0);
}

/* What a loader does for vm.c; guest/load has one. */
struct guest_loader {
    /*
     * Put the image, whose files are here, into the cleared RAM of vm, not yet started, and its first vcpu at the
     * image's entry. Returns 0, or -EINVAL for an image that is refused: `reason` (of `size` bytes) then says what is
     * wrong and what would be right. Host loop.
     */
    int (*load)(struct vm *vm, const struct guest_image *image, char *reason, size_t size);
    /* What it would return; nothing is loaded, and vm needs no RAM yet. */
    int (*check)(struct vm *vm, const struct guest_image *image, char *reason, size_t size);
};

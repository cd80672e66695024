/* SPDX-License-Identifier: BSD-2-Clause */
/* The image from which a VM starts, also after a reset; and the loader, which puts the image into the VM's RAM. */
#pragma once

#include <stdbool.h>

#include "config/config.h"
#include "host/types.h"

struct vm;

struct guest_file {
    const void *data; /* NULL: this machine does not have the file */
    u64 size;         /* bytes; 0: no such file */
    u64 digest;       /* of these bytes, config/digest.h */
};

/* The image moves with the guest, except for the contents of the files. */
struct guest_image {
    struct guest_file kernel, initrd; /* initrd.size 0: none */
    char cmdline[CONFIG_CMDLINE];
};

/* Does this machine have the image's files? */
static inline bool guest_image_here(const struct guest_image *image)
{
    return image->kernel.data && (image->initrd.data || image->initrd.size == 0);
}

/* The functions of a loader, for vm.c; guest/load has a loader. */
struct guest_loader {
    /*
     * Put the image into the cleared RAM of vm, and set its first vcpu to the image's entry. This machine has the
     * image's files, and no vcpu of vm runs: vm starts, or is being reset. Returns 0, or -EINVAL if the image is
     * refused: then `reason` (of `size` bytes) says what is wrong and what would be right. Host loop.
     */
    int (*load)(struct vm *vm, const struct guest_image *image, char *reason, size_t size);
    /* Returns what load would return, but loads nothing; vm needs no RAM yet. */
    int (*check)(struct vm *vm, const struct guest_image *image, char *reason, size_t size);
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* The image from which a VM starts, also after a reset. */
#pragma once

#include <stdbool.h>

#include "config/config.h"
#include "host/types.h"

struct guest_file {
    const void *data; /* NULL: this machine does not have the file */
    u64 size;         /* bytes; 0: no such file */
    u64 digest;       /* of these bytes, config/digest.h */
};

/* The image moves with the guest, except for the contents of the files. */
struct guest_image {
    struct guest_file kernel, initrd; /* initrd.size 0: none */
    char cmdline[CONFIG_CMDLINE];
    u8 sha256[2][CONFIG_SHA256]; /* that kernel and initrd must have to be started here; zero: any. It does not move */
};

/* Does this machine have the image's files? */
static inline bool guest_image_here(const struct guest_image *image)
{
    return image->kernel.data && (image->initrd.data || image->initrd.size == 0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads an image (docs/image.md) from its first byte to its last, and judges it as a destination would, as far as that
 * is possible without a machine on which it is to run. Nothing of the bytes is trusted. */
#pragma once

#include <stdbool.h>

#include "stream/ram.h"
#include "stream/transport.h"

#define IMAGE_REASON 160

struct image_section {
    char name[WIRE_SECTION_NAME];
    u32 instance, len;
};

struct image_check {
    struct wire_header header;
    struct wire_reserve reserve;
    struct wire_image_end end;
    u64 bytes, rounds, pages, zero; /* pages: such with contents, each as often as it came */
    struct image_section section[WIRE_SECTIONS];
    unsigned sections;
    bool verified; /* the digest of all memory was compared, too */
    char reason[IMAGE_REASON];
};

/* Read and judge. Its receive() returns -EPIPE behind the last byte, and never -EAGAIN. Returns whether the image is
 * whole and unharmed; if not, `reason` says why. */
bool image_check(struct image_check *check, struct transport *file);

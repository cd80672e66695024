/* SPDX-License-Identifier: BSD-2-Clause */
/* Page frames from the build machine's heap, for programs without host/frame.c: a frame's address is its window's. */
#include <stdlib.h>

#include "host/frame.h"

hpa_t frame_alloc(unsigned order)
{
    void *frames = aligned_alloc(4096, 4096UL << order);

    return frames ? (hpa_t)frames : FRAME_NONE;
}

void frame_free(hpa_t frame, unsigned order)
{
    (void)order;
    free((void *)frame);
}

void *frame_window(hpa_t address)
{
    return (void *)address;
}

hpa_t frame_address(const void *window_address)
{
    return (hpa_t)window_address;
}

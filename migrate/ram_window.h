/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a guest's RAM lies in host memory, remembered for one stretch of it: a move asks for page after page, and a
 * walk of the nested tables for each would cost as much as the page's CRC does.
 */
#pragma once

#include "mm/guest_mem.h"

struct ram_window {
    const struct guest_mem *mem; /* whose; NULL: nobody's */
    gpa_t gpa;
    u64 len;
    u8 *at;
};

/* The page at gpa, which is RAM. Which frames back a guest never changes while it exists; a window that is left behind
 * by a guest that was destroyed must not be asked for another one at the same address: ram_window_reset. Host loop. */
u8 *ram_window_page(struct ram_window *window, struct guest_mem *mem, gpa_t gpa);

static inline void ram_window_reset(struct ram_window *window)
{
    window->mem = NULL;
}

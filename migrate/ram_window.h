/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a guest's RAM lies in host memory, remembered for one stretch of it: a move asks for page after page, and a
 * walk of the nested tables for each would cost as much as the page's CRC does.
 */
#pragma once

#include "mm/guest_mem.h"

struct ram_window {
    u64 id; /* of which RAM; 0: of none */
    gpa_t gpa;
    u64 len;
    u8 *at;
};

/* The page at gpa, which is RAM. What a window remembers of RAM that was freed is never taken for that of another one,
 * nor for what the same guest has been given since. Host loop. */
u8 *ram_window_page(struct ram_window *window, struct guest_mem *mem, gpa_t gpa);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remembers where one stretch of a guest's RAM lies in host memory: a move asks for page after page, and a walk of the
 * nested tables for each page would cost as much as the page's CRC does. A window is for reading (the source) or for
 * writing (the destination), never for both.
 */
#pragma once

#include "mm/guest_mem.h"

struct ram_window {
    u64 id; /* which RAM it is part of; 0: none */
    gpa_t gpa;
    u64 len;
    union {
        const u8 *at;
        u8 *place;
    };
};

/* The page at gpa, which is RAM: ram_window_page for reading, or NULL if it is untouched (it may be touched since the
 * window came there: set `id` to 0 to have it look anew); ram_window_place to be filled, by guest_mem_place's contract.
 * A window that remembers RAM which was freed is never used for another guest's RAM, nor for RAM that the same guest
 * was given since. Host loop. */
const u8 *ram_window_page(struct ram_window *window, struct guest_mem *mem, gpa_t gpa);
u8 *ram_window_place(struct ram_window *window, struct guest_mem *mem, gpa_t gpa);

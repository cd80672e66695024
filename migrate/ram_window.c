/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/ram_window.h"

#include "host/bits.h"

#define WINDOW MiB(2)

u8 *ram_window_page(struct ram_window *window, struct guest_mem *mem, gpa_t gpa)
{
    if (window->id != mem->id || gpa - window->gpa >= window->len) {
        window->id = mem->id;
        window->gpa = gpa;
        window->at = guest_mem_place(mem, gpa, align_down(gpa, WINDOW) + WINDOW - gpa, &window->len);
    }
    return window->at + (gpa - window->gpa);
}

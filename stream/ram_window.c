/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/ram_window.h"

#include "host/bits.h"

#define WINDOW MiB(2)

/* Move the window to gpa if that lies outside. Returns whether the caller must look up where the new stretch is. */
static bool moves(struct ram_window *window, const struct guest_mem *mem, gpa_t gpa)
{
    if (window->id == mem->id && gpa - window->gpa < window->len)
        return false;
    window->id = mem->id;
    window->gpa = gpa;
    return true;
}

static u64 rest(gpa_t gpa)
{
    return align_down(gpa, WINDOW) + WINDOW - gpa;
}

const u8 *ram_window_page(struct ram_window *window, struct guest_mem *mem, gpa_t gpa)
{
    if (moves(window, mem, gpa)) {
        window->len = MIN(guest_mem_untouched(mem, gpa), rest(gpa));
        window->at = window->len ? NULL : guest_ptr(mem, gpa, rest(gpa), &window->len);
    }
    return window->at ? window->at + (gpa - window->gpa) : NULL;
}

u8 *ram_window_place(struct ram_window *window, struct guest_mem *mem, gpa_t gpa)
{
    if (moves(window, mem, gpa))
        window->place = guest_mem_place(mem, gpa, rest(gpa), &window->len);
    return window->place + (gpa - window->gpa);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a guest has RAM: slots of guest physical address space, in ascending order and apart. Pages of RAM are numbered
 * from 0 in the order of their addresses, without the holes. Pure.
 */
#pragma once

#include "host/bits.h"

#define GUEST_SLOTS 4
#define GUEST_PAGE_NONE (~0ULL)

struct guest_slot {
    gpa_t base;
    u64 size; /* bytes; 0: unused */
};

/* Bytes of RAM from gpa to the end of its slot; 0 if gpa is not RAM. */
static inline u64 slots_rest(const struct guest_slot slot[GUEST_SLOTS], gpa_t gpa)
{
    for (unsigned i = 0; i < GUEST_SLOTS; i++)
        if (gpa - slot[i].base < slot[i].size)
            return slot[i].size - (gpa - slot[i].base);
    return 0;
}

/* The number of the page that contains gpa; GUEST_PAGE_NONE if gpa is not RAM. */
static inline u64 slots_page(const struct guest_slot slot[GUEST_SLOTS], gpa_t gpa)
{
    u64 before = 0;

    for (unsigned i = 0; i < GUEST_SLOTS; before += slot[i++].size)
        if (gpa - slot[i].base < slot[i].size)
            return (before + gpa - slot[i].base) / PAGE_SIZE;
    return GUEST_PAGE_NONE;
}

/* The address of a page; ~0 if there are not so many. */
static inline gpa_t slots_gpa(const struct guest_slot slot[GUEST_SLOTS], u64 page)
{
    for (unsigned i = 0; i < GUEST_SLOTS; page -= slot[i++].size / PAGE_SIZE)
        if (page < slot[i].size / PAGE_SIZE)
            return slot[i].base + page * PAGE_SIZE;
    return ~0ULL;
}

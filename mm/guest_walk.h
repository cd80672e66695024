/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's own page tables, walked in software for instruction fetch and emulation: none, 32-bit, PAE and 4-level
 * paging (SDM 3A "Paging"). Sets accessed and dirty bits as the processor would. Protection keys and 5 levels are not
 * offered to guests.
 */
#pragma once

#include "host/bits.h"
#include "host/types.h"
#include "mm/guest_mem.h"

/* Physical address bits of every guest (CPUID leaf 80000008h): the least that our processors have, Bochs' 40. */
#define GUEST_MAXPHYADDR 40

/* Of the four entries that PAE paging loads (SDM 3A "PAE Paging"). */
#define GUEST_PDPTE_RESERVED (BITS(63, GUEST_MAXPHYADDR) | BITS(8, 5) | BITS(2, 1))

/*
 * Read the four entries that CR3 = cr3 names under PAE paging. Returns 0 or -EFAULT: that is not RAM. QEMU 7.2 sets the
 * accessed bit in them, which no processor has there and which would keep the guest from loading them again: it is
 * left out.
 */
int guest_pdptes_read(struct guest_mem *mem, u64 cr3, u64 pdpte[4]);

enum walk_access { WALK_READ = 0, WALK_WRITE = 1, WALK_FETCH = 2 };

/* The registers that decide how a linear address is translated. */
struct walk_context {
    u64 cr0, cr3, cr4, efer, rflags;
    u64 pdpte[4]; /* PAE paging: as loaded by the processor */
    unsigned cpl;
};

/*
 * Translate linear address gva, canonical if in 64-bit mode. Returns 0 with *gpa, or -EFAULT with *error = the
 * page-fault error code to inject at gva (CR2). Accesses that the processor makes on its own behalf (descriptors, TSS)
 * have cpl 0. A walk through an address that is not RAM reads all ones, as an unclaimed bus does.
 */
int guest_walk(struct guest_mem *mem, const struct walk_context *ctx, gva_t gva, enum walk_access access, gpa_t *gpa,
               u32 *error);

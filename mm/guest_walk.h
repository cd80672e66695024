/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks the guest's own page tables in software, for instruction fetch and emulation: no paging, 32-bit, PAE and
 * 4-level paging (SDM 3A "Paging"). The walk sets accessed and dirty bits as the processor would. Guests are offered
 * neither protection keys nor 5-level paging.
 */
#pragma once

#include "host/bits.h"
#include "host/types.h"
#include "mm/guest_mem.h"

/* Physical address bits of every guest (CPUID leaf 80000008h): 40 as in Bochs, the fewest of all our processors. */
#define GUEST_MAXPHYADDR 40

/* Reserved bits of the four entries that PAE paging loads (SDM 3A "PAE Paging"). */
#define GUEST_PDPTE_RESERVED (BITS(63, GUEST_MAXPHYADDR) | BITS(8, 5) | BITS(2, 1))

/*
 * Read the four entries that CR3 = cr3 names under PAE paging. Returns 0, or as guest_read. QEMU 7.2
 * sets an accessed bit in these entries. On processors that bit is reserved there, and the guest could not load the
 * entries again; so the bit is cleared in pdpte.
 */
int guest_pdptes_read(struct guest_mem *mem, u64 cr3, u64 pdpte[4]);

enum walk_access { WALK_READ = 0, WALK_WRITE = 1, WALK_FETCH = 2 };

/* The registers that decide how a linear address is translated. */
struct walk_context {
    u64 cr0, cr3, cr4, efer, rflags;
    u64 pdpte[4];        /* PAE paging: as loaded by the processor */
    bool pdptes_missing; /* they are in a missing page */
    unsigned cpl;
};

/*
 * Translate linear address gva, which must be canonical in 64-bit mode. Returns 0 with *gpa set; -EFAULT with *error
 * set to the page-fault error code to inject (with CR2 = gva); or -EAGAIN if a table is in a missing page. For accesses
 * that the processor makes on its own behalf (descriptors, TSS) set cpl to 0. A table at an address that is not RAM
 * reads as all ones, like an unclaimed bus.
 */
int guest_walk(struct guest_mem *mem, const struct walk_context *ctx, gva_t gva, enum walk_access access, gpa_t *gpa,
               u32 *error);

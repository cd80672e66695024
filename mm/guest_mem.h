/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's RAM, and the only door to it: everything in the hypervisor that reads or writes guest memory calls these
 * functions, so that every write can reach the dirty log (docs/dirty-log.md).
 *
 * RAM is a few slots of guest physical address space, each backed by blocks of host frames as large as alignment and
 * free memory allow.
 */
#pragma once

#include "host/types.h"
#include "mm/dirty.h"
#include "mm/npt.h"

#define GUEST_SLOTS 4
#define GUEST_PCI_HOLE_BASE 0xC0000000ULL /* RAM beyond continues at 4 GiB */
#define GUEST_PCI_HOLE_END 0x100000000ULL

struct guest_slot {
    gpa_t base;
    u64 size; /* bytes; 0: unused */
};

struct guest_mem {
    struct guest_slot slot[GUEST_SLOTS];
    u64 size; /* bytes of RAM in all slots */
    u64 id;   /* of this RAM: a guest that is started anew has another, in other frames. 0: there is none */
    struct npt *npt;
    u64 pages_4k, pages_2m, pages_1g; /* backing, counted at creation */
    u64 bytes_written;                /* by the hypervisor, for counters */
    struct dirty_log dirty;
};

/*
 * Give a guest `size` bytes (a multiple of 4 KiB) of RAM from gpa 0, with the PCI hole left out, and map it in npt.
 * What was in that memory before is in it still: before the guest runs somebody clears it or writes every page of it.
 * Returns 0, or -ENOMEM or -EEXIST with nothing kept.
 */
int guest_mem_init(struct guest_mem *mem, struct npt *npt, u64 size);

/* Unmap and free the RAM. No vcpu may run. */
void guest_mem_fini(struct guest_mem *mem);

/* The same a part at a time: free up to `mappings` pages, of whatever size, from the end. True: nothing is left. Until
 * then what is left is RAM still, which nobody but the next call may use. */
bool guest_mem_fini_part(struct guest_mem *mem, u64 mappings);

/* Zero up to `pages` pages from page number `page` on, as the hypervisor's own writes. Returns the number of the next
 * page, mem->size / PAGE_SIZE when all is done. */
u64 guest_mem_clear(struct guest_mem *mem, u64 page, u64 pages);

/* Is [gpa, gpa+len) all RAM? */
bool guest_mem_valid(const struct guest_mem *mem, gpa_t gpa, u64 len);

/* Pages of RAM are numbered from 0 in the order of their addresses, without the holes. gpa is RAM; page is below
 * mem->size / PAGE_SIZE. */
u64 guest_mem_page(const struct guest_mem *mem, gpa_t gpa);
gpa_t guest_mem_gpa(const struct guest_mem *mem, u64 page);

/* The page's bytes in host memory, to read. They stay there until guest_mem_fini. Any CPU. */
const void *guest_mem_view(struct guest_mem *mem, u64 page);

/*
 * Copy out of or into guest RAM, over page and slot borders. Returns 0, or -EFAULT with nothing copied if any of the
 * range is not RAM. An aligned 2, 4 or 8 bytes are one access. Any CPU.
 */
int guest_read(struct guest_mem *mem, gpa_t gpa, void *buffer, u64 len);
int guest_write(struct guest_mem *mem, gpa_t gpa, const void *buffer, u64 len);

/*
 * Guest RAM at gpa where it lies, for reading what is too much to copy; *contiguous is how many of `len` bytes lie
 * there in one piece. NULL if gpa is not RAM. The guest may change it at any time: what is judged must have been
 * copied. Good until the VM is destroyed or its memory moved, both in the host loop. Any CPU.
 */
const void *guest_ptr(struct guest_mem *mem, gpa_t gpa, u64 len, u64 *contiguous);

/* The same to write, for who fills the RAM of a guest that has never run: the dirty log, which is off, learns nothing.
 */
void *guest_mem_place(struct guest_mem *mem, gpa_t gpa, u64 len, u64 *contiguous);

/*
 * Atomic compare-and-exchange of an aligned 4- or 8-byte word, such as a page-table entry. True if exchanged, false if
 * the word is not `old` or not RAM. Any CPU.
 */
bool guest_cmpxchg(struct guest_mem *mem, gpa_t gpa, u64 old, u64 new, unsigned bytes);

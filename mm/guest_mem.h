/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's RAM, and the only door to it: all code of the hypervisor that reads or writes guest memory calls these
 * functions, so that every write can reach the dirty log (docs/dirty-log.md). guest_ptr gives a pointer for reading
 * away, and only guest_mem_place one for writing.
 *
 * RAM is a few slots of guest physical address space. Each slot is backed by blocks of host frames, as large as
 * alignment and free memory allow. A frame is zeroed when the guest or the hypervisor accesses it for the first time;
 * until then its RAM is *untouched*, and is known to be zeros.
 */
#pragma once

#include "host/lock.h"
#include "host/types.h"
#include "mm/dirty.h"
#include "mm/guest_slots.h"
#include "mm/npt.h"

#define GUEST_PCI_HOLE_BASE 0xC0000000ULL /* RAM beyond continues at 4 GiB */
#define GUEST_PCI_HOLE_END 0x100000000ULL

struct guest_mem {
    struct guest_slot slot[GUEST_SLOTS];
    u64 size; /* bytes of RAM in all slots */
    u64 id;   /* of this RAM: a guest that starts anew gets another id, maybe in other frames. 0: no RAM */
    struct npt *npt;
    u64 pages_4k, pages_2m, pages_1g; /* pages that back the RAM, counted at creation */
    u64 bytes_written;                /* by the hypervisor, for counters */
    struct dirty_log dirty;
    u64 folded; /* pages, counted from the first, that an end of the log or of missing pages has folded into large ones
                 */
    bool split; /* pages have been missing, and large pages have not come back since; host loop */

    struct guest_missing *missing; /* set as long as `split` is (mm/guest_missing.h) */
    struct spinlock missing_lock;  /* guards what was asked for, and `requests` */
    u64 missing_pages;             /* bits in the map */
    u64 requests, answered;        /* missing pages that somebody has asked for; those of them that have come */
};

/* Is all of the RAM here? Any CPU. */
static inline bool guest_mem_whole(const struct guest_mem *mem)
{
    return __atomic_load_n(&mem->missing_pages, __ATOMIC_ACQUIRE) == 0;
}

/*
 * Give a guest `size` bytes (a multiple of 4 KiB) of RAM from gpa 0, with the PCI hole left out, and map it in npt.
 * All of it is untouched. Returns 0, or -ENOMEM or -EEXIST with nothing kept.
 */
int guest_mem_init(struct guest_mem *mem, struct npt *npt, u64 size);

/* Unmap and free the RAM. No vcpu may run. */
void guest_mem_fini(struct guest_mem *mem);

/* Free the RAM in parts: this call frees up to `mappings` pages, of any size, from the end. True: nothing is left.
 * Until then the rest is still RAM, but only the next call may use it. */
bool guest_mem_fini_part(struct guest_mem *mem, u64 mappings);

/* Make all RAM untouched again, for a guest that starts anew; that counts as writing to it. No vcpu may run. */
void guest_mem_untouch(struct guest_mem *mem);

/* How many bytes from gpa on, which is RAM, are known to be untouched; 0: the page at gpa is not, or is missing. Any
 * CPU. */
u64 guest_mem_untouched(struct guest_mem *mem, gpa_t gpa);

/* Does [gpa, gpa+len) consist of RAM only? */
bool guest_mem_valid(const struct guest_mem *mem, gpa_t gpa, u64 len);

/* The number of a page of RAM and its address (mm/guest_slots.h). gpa is RAM; page is below mem->size / PAGE_SIZE. */
u64 guest_mem_page(const struct guest_mem *mem, gpa_t gpa);
gpa_t guest_mem_gpa(const struct guest_mem *mem, u64 page);

/*
 * Copy out of or into guest RAM, across page and slot borders. With nothing copied these return -EFAULT if part of the
 * range is not RAM, or -EAGAIN if part of it is missing: then the pages have been asked for (guest_mem_ask). Aligned 2,
 * 4 or 8 bytes are copied in one access. Any CPU.
 */
int guest_read(struct guest_mem *mem, gpa_t gpa, void *buffer, u64 len);
int guest_write(struct guest_mem *mem, gpa_t gpa, const void *buffer, u64 len);

/*
 * The host address of guest RAM at gpa, for reading data that is too large to copy; *contiguous is how many of `len`
 * bytes lie there in one piece. NULL if gpa is not RAM, or its page is missing; that has been asked for then, but for
 * more than one page the caller asks first. The guest may change the bytes at any time: copy them before you check
 * them. The address is good until the VM is destroyed or its memory moves; both happen in the host loop. Any CPU.
 */
const void *guest_ptr(struct guest_mem *mem, gpa_t gpa, u64 len, u64 *contiguous);

/* The same address for writing, for the destination of a move: it fills the RAM of a VM that may not run yet. The page
 * at gpa is not missing. Neither the dirty log nor bytes_written learns of the writes. Host loop. */
void *guest_mem_place(struct guest_mem *mem, gpa_t gpa, u64 len, u64 *contiguous);

/*
 * Atomic compare-and-exchange of an aligned 4- or 8-byte word, such as a page-table entry. True if exchanged, false if
 * the word is not `old`, not RAM, or missing. Any CPU.
 */
bool guest_cmpxchg(struct guest_mem *mem, gpa_t gpa, u64 old, u64 new, unsigned bytes);

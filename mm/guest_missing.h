/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages of a guest's RAM that are not here yet: a move by post-copy lets the guest run before they have come. Their
 * nested entries have no rights, as those of untouched RAM, so the guest's first access faults; the hypervisor's own
 * accesses are refused at the door (mm/guest_mem.h). Either way somebody asks for the page, the host loop is kicked,
 * and whoever brings the page fetches the wish there.
 *
 * A page is missing from guest_mem_expect to guest_mem_supply, and then never again. RAM without missing pages is
 * *whole*; its map goes when its large pages have come back (dirty_fold_part), so that nobody pays for it. A 2 MiB page
 * that is missing as a whole stays one until a part of it comes; the tables for that are kept from the beginning, so
 * that nothing can fail later for want of memory.
 */
#pragma once

#include "mm/guest_mem.h"

/*
 * From now on these pages are missing; whatever their frames hold is forgotten. Returns 0, -EINVAL if they are no pages
 * or not all RAM, or -ENOMEM: then what they hold may be lost. No vcpu runs, and the dirty log is off. Host loop.
 */
int guest_mem_expect(struct guest_mem *mem, gpa_t gpa, u64 pages);

/* Is this page missing? How many are? Any CPU. */
bool guest_mem_missing(struct guest_mem *mem, u64 page);
static inline u64 guest_mem_missing_count(const struct guest_mem *mem)
{
    return __atomic_load_n(&mem->missing_pages, __ATOMIC_RELAXED);
}

/*
 * Ask for all missing pages of [gpa, gpa+len). Returns 0 if none is missing (what is not RAM is not), or -EAGAIN: the
 * access is to be tried again when the pages have come, the last of which is this_cpu()->page_asked. Any CPU.
 */
int guest_mem_ask_missing(struct guest_mem *mem, gpa_t gpa, u64 len);
static inline int guest_mem_ask(struct guest_mem *mem, gpa_t gpa, u64 len)
{
    return guest_mem_whole(mem) ? 0 : guest_mem_ask_missing(mem, gpa, len);
}

/*
 * A page has come: store its 4 KiB (NULL: zeros) and let everybody use it. With the last one the RAM is whole. Returns
 * 0; or -EEXIST if the page is not missing, with nothing done. Who waits for it is not woken (vm_page_supply does
 * that). Host loop.
 */
int guest_mem_supply(struct guest_mem *mem, u64 page, const void *bytes);

/* The next page that was asked for and is still missing; each is returned once. False: there is none. Host loop. */
bool guest_mem_wanted(struct guest_mem *mem, u64 *page);

/* The pages that guest_mem_wanted has returned will not come by themselves: it returns those that are still missing
 * once more. Host loop. */
void guest_mem_ask_again(struct guest_mem *mem);

/* Free the map: no page is missing any more, or the RAM is about to be untouched or freed. No vcpu runs. */
void guest_mem_forget_missing(struct guest_mem *mem);

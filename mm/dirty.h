/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log tells which pages of a guest's RAM were written since somebody last asked: one bit for each page, by
 * page number (guest_mem_page). One of three producers feeds it at a time: faults on write-protected pages, D bits of
 * the nested tables, or page-modification logging. Writes by the hypervisor are marked whichever producer is on.
 *
 * A page that was written is in the log, or its producer still knows it. dirty_harvest_part() first takes the pages out
 * of the log and then makes them as if not written. So a write that comes later is either part of what is copied after
 * the flush, or the next harvest finds it. docs/dirty-log.md has the argument.
 */
#pragma once

#include "host/types.h"

struct guest_mem;

enum dirty_producer { DIRTY_OFF, DIRTY_WRITE_PROTECT, DIRTY_DBIT, DIRTY_PML };

/* What happens to large pages when logging starts. */
enum dirty_split {
    DIRTY_SPLIT_LAZY, /* each is split at its first write, which faults */
    DIRTY_SPLIT_EAGER,
};

/* Counted since the log was first started. Any CPU adds to them. */
struct dirty_counters {
    u64 harvests, harvested;       /* harvests, and the pages that they brought */
    u64 retired;                   /* harvests that need a flush by each vcpu */
    u64 by_fault, by_dbit, by_pml; /* pages reported by a producer */
    u64 by_hypervisor;
    u64 faults; /* write faults answered, including those that only split a large page */
    u64 scanned_regions, scanned_entries, harvest_ns; /* of all harvests, by a caller with a clock */
    u64 pml_drains;                                   /* emptied buffers that were not empty before */
};

struct dirty_log {
    enum dirty_producer producer;
    u64 pages;   /* of RAM: the length of the log in bits; 0: never started */
    u64 taken;   /* pages, counted from the first, that the current harvest has done */
    bool retire; /* the current harvest needs a flush */
    u64 *log;    /* pages written since the last harvest */
    struct dirty_counters count;
};

/* How many 64-bit words a map of all RAM has. */
u64 dirty_words(const struct guest_mem *mem);

/*
 * Start the log, or change to another producer without losing pages that were written before. The caller has stopped
 * all vcpus and, for DIRTY_PML, enabled their logging. After a start every page counts as not written; after a change
 * every page counts as before. Returns 0, -ENOTSUP (the nested tables have no D bits), or -ENOMEM: then the log is as
 * before, or off if the memory for tables ran out.
 */
int dirty_start(struct guest_mem *mem, enum dirty_producer producer, enum dirty_split split);

/* Do a part of the log's end, `pages` pages, a multiple of 512 (~0: all): large pages come back. Returns true when the
 * log is off, and forgotten. Vcpus run only between the parts; the log may note what they write then, or not. */
bool dirty_stop_part(struct guest_mem *mem, u64 pages);

/* Bring the large pages back, as the end of a log does, for RAM that is split without one (guest_mem.split). True: it
 * is done. */
bool dirty_fold_part(struct guest_mem *mem, u64 pages);

/*
 * Do a part of a harvest. A harvest adds the pages written since the last one to `to_send` (dirty_words long; NULL: the
 * pages are only counted) and makes them as if not written. Each part looks at `entries` entries of nested tables or
 * words of the log, or a few hundred more. Returns true when the harvest is whole. The pages may be read for sending,
 * and the next harvest may begin, once the harvest is whole and each vcpu has flushed npt.generation or left the guest
 * (vm_harvest_ready).
 */
bool dirty_harvest_part(struct guest_mem *mem, u64 *to_send, u64 entries);

/* --- For the functions that notice writes. Any CPU. --- */

/* The hypervisor has written [gpa, gpa+len), which is all RAM. Call this after the write, while the log is on. */
void dirty_written(struct guest_mem *mem, gpa_t gpa, u64 len);

/* A guest's write to gpa, which is RAM, has faulted. True: the log caused the fault, and the guest may write again. */
bool dirty_write_fault(struct guest_mem *mem, gpa_t gpa);

/* Mark the pages in the entries of a PML buffer. An entry is a guest physical address; bits 11:0 don't count, nor do
 * entries that are not RAM. */
void dirty_pml_drain(struct guest_mem *mem, const u64 *entries, unsigned number);

/* Free the log, when the guest's RAM is freed. */
void dirty_free(struct guest_mem *mem);

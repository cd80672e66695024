/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log: which pages of a guest's RAM were written since somebody last asked. One bit a page, by page number
 * (guest_mem_page). Three producers feed it, one at a time: faults on write-protected pages, D bits of the nested
 * tables, page-modification logging. Writes by the hypervisor are marked under each of them.
 *
 * A page that was written is in the log, or its producer still knows it. dirty_harvest_part() moves the set out and
 * makes its pages as if not written, in this order; so a write that comes later is either in what is copied after the
 * flush, or is found by the next harvest. docs/dirty-log.md has the argument.
 *
 * What was harvested stays in a second map until it is acknowledged: dirty_unack_all() puts it back.
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

/* Since the log was first started. Any CPU adds. */
struct dirty_counters {
    u64 harvests, harvested;       /* and the pages they brought */
    u64 retired;                   /* harvests that need a flush: one by each vcpu */
    u64 by_fault, by_dbit, by_pml; /* pages reported by a producer */
    u64 by_hypervisor, by_unack;
    u64 faults; /* write faults answered, those that only split among them */
    u64 scanned_regions, scanned_entries;
    u64 pml_drains; /* buffers emptied that held something */
};

struct dirty_log {
    enum dirty_producer producer;
    u64 pages;    /* of RAM: the length of the maps in bits; 0: never started */
    u64 disarmed; /* pages, from the first one on, for which it has ended */
    u64 taken;    /* pages, from the first one on, that a harvest has been at */
    bool retire;  /* that harvest needs a flush */
    u64 *log;     /* written since the last harvest */
    u64 *unacked; /* harvested, not acknowledged */
    struct dirty_counters count;
};

const char *dirty_producer_name(enum dirty_producer producer);

/* 64-bit words of a map of all RAM. */
u64 dirty_words(const struct guest_mem *mem);

/*
 * Start, or go over to another producer, which loses nothing of what was written before. No vcpu runs, and for
 * DIRTY_PML the vcpus' logging has been enabled. From here on every page counts as not written (start) or as before
 * (change). Returns 0, -ENOTSUP (no D bits), or -ENOMEM: as before, or off if tables ran out.
 */
int dirty_start(struct guest_mem *mem, enum dirty_producer producer, enum dirty_split split);

/* End: large pages come back where memory is contiguous. Both maps are forgotten. No vcpu runs. */
void dirty_stop(struct guest_mem *mem);

/* The same a part at a time: up to `pages` pages, a multiple of 512. True: it is off. Vcpus run between the parts, and
 * what they write may be noted or not. */
bool dirty_stop_part(struct guest_mem *mem, u64 pages);

/*
 * A harvest: add to `to_send` (dirty_words long; NULL: they are counted only) the pages written since the last one, and
 * make them as if not written. It is done a part at a time, each of which looks at `entries` entries of nested tables
 * or words of the log, or a few hundred more. True: it is whole. What is in the pages may be read for sending once it
 * is, and each vcpu has flushed npt.generation or left the guest (vm_harvest_ready); the next harvest comes after that,
 * too.
 */
bool dirty_harvest_part(struct guest_mem *mem, u64 *to_send, u64 entries);

/* Page `page` has arrived; forget that it was harvested. */
void dirty_ack(struct guest_mem *mem, u64 page);

/* What was harvested and not acknowledged counts as written again: after a failure or cancel. Returns the number. */
u64 dirty_unack_all(struct guest_mem *mem);

static inline bool dirty_test(const u64 *map, u64 page)
{
    return map[page / 64] >> page % 64 & 1;
}

/* --- For who notices writes. Any CPU. --- */

/* The hypervisor has written [gpa, gpa+len), all RAM: call it after the write, while the log is on. */
void dirty_written(struct guest_mem *mem, gpa_t gpa, u64 len);

/* A guest's write to gpa, which is RAM, has faulted: true if that was the log's doing. It may be repeated then. */
bool dirty_write_fault(struct guest_mem *mem, gpa_t gpa);

/* Entries of a PML buffer: guest physical addresses; bits 11:0 don't count, nor do entries that are not RAM. */
void dirty_pml_drain(struct guest_mem *mem, const u64 *entries, unsigned number);

/* The maps go with the memory. */
void dirty_free(struct guest_mem *mem);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested page tables: guest physical to host physical. One walker for EPT (SDM 3C "The Extended Page Table Mechanism")
 * and for AMD's nested format (APM 2 "Nested Paging"); what differs is data in struct npt_format.
 *
 * A change that removes rights needs a flush (npt.generation) before it may be relied upon; a change that only adds
 * rights does not. Processors may walk the tables at any time: entries change by single 64-bit stores, and A/D bits
 * that hardware sets meanwhile are never lost.
 */
#pragma once

#include "host/lock.h"
#include "host/types.h"

/* The two formats as masks over a 64-bit entry. The address field is PTE_ADDR in both. */
struct npt_format {
    const char *name;
    u64 read, write, exec; /* rights that must be set */
    u64 exec_large;        /* exec in a large leaf; or, if no large page may be executed, what remembers it there */
    u64 no_exec;           /* right that must be clear (NX) */
    u64 table;             /* all bits of an entry that points to a table */
    u64 leaf_4k;           /* further bits of a 4 KiB leaf: memory type write-back ... */
    u64 leaf_large;        /* further bits of a 2 MiB or 1 GiB leaf, the large-page bit among them */
    u64 large;             /* the large-page bit alone */
    u64 present;           /* any of these set: the entry is present */
    u64 accessed, dirty;   /* 0 if the hardware has none */
    bool has_1g;
};

enum npt_prot { NPT_R = 1, NPT_W = 2, NPT_X = 4, NPT_RW = 3, NPT_RWX = 7 };

struct npt {
    struct npt_format format;
    hpa_t root;      /* PML4 frame */
    u64 tables;      /* frames used, the root and the cut-off ones included */
    u64 exec_splits; /* large pages that npt_exec_open has split */
    hpa_t cut;       /* chain of tables that npt_unmap cut off; 0: none */
    u64 generation;  /* counts up when translations must be flushed; each vcpu remembers what it has flushed */
    struct spinlock lock;
};

/* What a translation says. */
struct npt_leaf {
    hpa_t frame;   /* host physical of the page's first byte */
    u64 page_size; /* 4 KiB, 2 MiB or 1 GiB */
    unsigned prot; /* enum npt_prot; X of a large page may have to be opened first (npt_exec_open) */
    bool accessed, dirty;
};

/* Empty tables. Returns 0 or -ENOMEM. */
int npt_init(struct npt *npt, const struct npt_format *format);

/* Free all tables; the mapped frames are the caller's. No vcpu may be running on them. */
void npt_fini(struct npt *npt);

/*
 * Free the tables that npt_unmap cut off. Only when no processor can hold translations from before the unmap: all vcpus
 * are stopped, or each has flushed npt.generation since.
 */
void npt_reap(struct npt *npt);

/*
 * Map [gpa, gpa+size) to the contiguous host range at `frame`, with the largest pages that alignment and format allow.
 * All 4 KiB aligned. Returns 0, -ENOMEM, -EEXIST if any of it is mapped (what was mapped before the error stays:
 * npt_unmap it). Takes the lock.
 */
int npt_map(struct npt *npt, gpa_t gpa, hpa_t frame, u64 size, unsigned prot);

/*
 * Remove all of [gpa, gpa+size), splitting large pages at the ends, cutting off tables that become empty (see
 * npt_reap). Bumps generation if anything was mapped. Returns 0 or -ENOMEM (split; what was removed before stays
 * removed).
 */
int npt_unmap(struct npt *npt, gpa_t gpa, u64 size);

/*
 * Change the rights of mapped pages in the range, splitting large pages at the ends; prot includes NPT_R. Bumps
 * generation if rights were removed. Returns 0 or -ENOMEM (split; what was changed before stays changed).
 */
int npt_protect(struct npt *npt, gpa_t gpa, u64 size, unsigned prot);

/* Replace a large page that contains gpa by a table of the next smaller size with the same rights and A/D bits. Returns
 * 0, -ENOENT, -ENOMEM. */
int npt_split(struct npt *npt, gpa_t gpa);

/*
 * A fetch from gpa has faulted. If it is in a large page that may be executed in small parts only, make 4 KiB pages of
 * it. Returns 1, 0 if that is not why, or -ENOMEM.
 */
int npt_exec_open(struct npt *npt, gpa_t gpa);

/* The translation of gpa; false if there is none. */
bool npt_lookup(struct npt *npt, gpa_t gpa, struct npt_leaf *leaf);

/* Translations from before must go: count a generation. For changes made by npt_log_rearm and npt_log_scan. */
void npt_retire(struct npt *npt);

/*
 * --- For the dirty log (npt_log.c). While it is on, the write right of RAM is its own. ---
 *
 * NPT_TRACK_RIGHTS finds the first write to a page because the page lacks the right; NPT_TRACK_DIRTY because hardware
 * sets the page's D bit. In both, a large page lacks the right until its first write splits it.
 */
enum npt_track { NPT_TRACK_RIGHTS, NPT_TRACK_DIRTY };

/* Make all pages of the range as if not written, large ones split beforehand if `split`. Retires. 0 or -ENOMEM. */
int npt_log_arm(struct npt *npt, gpa_t gpa, u64 size, enum npt_track track, bool split);

/*
 * A write to gpa has faulted for want of the right: give it, splitting a large page so that its other parts stay as if
 * not written. Returns the size of the page that can be written now (more than 4 KiB only without memory for tables),
 * or 0 if nothing had to change.
 */
u64 npt_log_open(struct npt *npt, gpa_t gpa, enum npt_track track);

/* Make those pages as if not written again whose bit is set in `pages`; bit 0 is gpa, a multiple of 64 pages. Returns
 * whether anything had to change: npt_retire then. */
bool npt_log_rearm(struct npt *npt, gpa_t gpa, u64 pages, enum npt_track track);

/* What a scan found and cost. */
struct npt_scan {
    u64 pages;    /* D bits taken */
    u64 regions;  /* page tables looked into, 2 MiB each */
    u64 visited;  /* entries looked at */
    bool changed; /* npt_retire, before the next scan */
};

/*
 * Clear the D bits of 4 KiB pages in the range, and set the bit of each in `map`, whose bit 0 is gpa, a multiple of 2
 * MiB. Page tables that hardware has not walked since the last scan are not looked into. Adds to *scan. Holds the lock
 * for 1 GiB at a time at most.
 */
void npt_log_scan(struct npt *npt, gpa_t gpa, u64 size, u64 *map, struct npt_scan *scan);

/*
 * End: give all pages of the range the write right, and put a large page in the place of every table that says no more
 * than one. No vcpu may run; tables wait for npt_reap. Retires.
 */
void npt_log_disarm(struct npt *npt, gpa_t gpa, u64 size);

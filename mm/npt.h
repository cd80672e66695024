/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested page tables translate guest physical to host physical addresses. One walker serves EPT (SDM 3C "The Extended
 * Page Table Mechanism") and AMD's nested format (APM 2 "Nested Paging"); struct npt_format holds the differences as
 * data.
 *
 * A change that removes rights needs a flush (npt.generation) before it may be relied upon; a change that only adds
 * rights does not. Processors may walk the tables at any time, so every entry changes by a single 64-bit store, and A/D
 * bits that hardware sets in the meantime are never lost.
 */
#pragma once

#include "host/lock.h"
#include "host/types.h"

#define WORD_PAGES 64 /* pages in a word of a map of RAM */

/* The two formats as masks over a 64-bit entry. The address field is PTE_ADDR in both. */
struct npt_format {
    const char *name;
    u64 read, write, exec; /* rights that must be set */
    u64 exec_large;        /* exec in a large leaf; if none may be executed, an ignored bit that marks the right */
    u64 no_exec;           /* right that must be clear (NX) */
    u64 table;             /* all bits of an entry that points to a table */
    u64 leaf_4k;           /* further bits of a 4 KiB leaf: memory type write-back ... */
    u64 leaf_large;        /* further bits of a 2 MiB or 1 GiB leaf, the large-page bit among them */
    u64 large;             /* the large-page bit alone */
    u64 present;           /* an entry with any of these bits set is present */
    u64 accessed, dirty;   /* 0 if the hardware has none */
    bool has_1g;
};

/* A page without any right is untouched: it counts as zeros, whatever its frame still holds (npt_touch). */
enum npt_prot { NPT_UNTOUCHED = 0, NPT_R = 1, NPT_W = 2, NPT_X = 4, NPT_RWX = 7 };

struct npt {
    struct npt_format format;
    hpa_t root;      /* PML4 frame */
    u64 tables;      /* frames in use, including the root and spare tables */
    u64 exec_splits; /* large pages that npt_exec_open has split */
    hpa_t spare;     /* chain of tables that were cut off, or are kept for npt_fill; 0: none */
    unsigned fresh;  /* enum npt_prot: the rights that npt_touch gives */
    u64 generation;  /* grows when translations must be flushed; each vcpu remembers the one it has flushed */
    struct spinlock lock;
};

/* The translation of one page. */
struct npt_leaf {
    hpa_t frame;   /* host physical of the page's first byte */
    u64 page_size; /* 4 KiB, 2 MiB or 1 GiB */
    unsigned prot; /* enum npt_prot; X of a large page may have to be opened first (npt_exec_open) */
};

/* Make empty tables. Returns 0 or -ENOMEM. */
int npt_init(struct npt *npt, const struct npt_format *format);

/* Free all tables; the mapped frames belong to the caller. No vcpu may be running on these tables. */
void npt_fini(struct npt *npt);

/*
 * Free the tables that npt_unmap and npt_log_disarm cut off. Call this only when no processor can hold translations
 * from before the cut: all vcpus are stopped, or each has flushed npt.generation since.
 */
void npt_reap(struct npt *npt);

/*
 * Map [gpa, gpa+size) to the contiguous host range at `frame`, with the largest pages that alignment and format allow.
 * All three are 4 KiB aligned. Returns 0, -ENOMEM, or -EEXIST if part of the range is mapped already. Pages that this
 * call mapped before the error stay: npt_unmap them. Takes the lock.
 */
int npt_map(struct npt *npt, gpa_t gpa, hpa_t frame, u64 size, unsigned prot);

/* The first access to gpa: if its page is untouched, zero 2 MiB of it (or all of it, if it is smaller or memory for a
 * table is short) and give this part its rights. Returns whether it was untouched. */
bool npt_touch(struct npt *npt, gpa_t gpa);

/* The page at gpa, which npt_withhold has made untouched, has got its contents: copy its 4 KiB there, and give it its
 * rights. NULL: it stays untouched, by itself. */
void npt_fill(struct npt *npt, gpa_t gpa, const void *bytes);

/*
 * Unmap [gpa, gpa+size): split large pages at the ends, and cut off tables that become empty (see npt_reap). Bumps
 * generation if any page was mapped. Returns 0, or -ENOMEM if a split failed: pages removed before stay removed.
 */
int npt_unmap(struct npt *npt, gpa_t gpa, u64 size);

/*
 * An instruction fetch from gpa has faulted. If gpa is in a large page that may be executed only as 4 KiB pages, split
 * the page into these. Returns 1 if it did, 0 if the fault has another reason, or -ENOMEM.
 */
int npt_exec_open(struct npt *npt, gpa_t gpa);

/* The translation of gpa; false if there is none. */
bool npt_lookup(struct npt *npt, gpa_t gpa, struct npt_leaf *leaf);

/* Bump generation: cached translations must be flushed. Call this after changes by npt_log_rearm and npt_log_scan. */
void npt_retire(struct npt *npt);

/*
 * --- For the dirty log (npt_log.c). While the log is on, nobody else changes the write right of RAM. ---
 *
 * NPT_TRACK_RIGHTS finds the first write to a page because the page lacks the write right; NPT_TRACK_DIRTY because
 * hardware sets the page's D bit. In both, a large page lacks the write right until the first write splits the page.
 */
enum npt_track { NPT_TRACK_RIGHTS, NPT_TRACK_DIRTY };

/* Make all pages of the range as if not written; if `split`, split large pages first. Bumps generation. Returns 0 or
 * -ENOMEM. */
int npt_log_arm(struct npt *npt, gpa_t gpa, u64 size, enum npt_track track, bool split);

/*
 * A write to gpa has faulted because the page lacks the write right. Give it the right; split a large page so that its
 * other parts stay as if not written. Returns the size of the page that can be written now (more than 4 KiB only if
 * memory for tables is short), or 0 if nothing had to change.
 */
u64 npt_log_open(struct npt *npt, gpa_t gpa, enum npt_track track);

/* Make those pages as if not written again whose bit is set in `pages`; bit 0 is gpa, a multiple of 64 pages. Returns
 * whether anything had to change: npt_retire then. */
bool npt_log_rearm(struct npt *npt, gpa_t gpa, u64 pages, enum npt_track track);

/* What a scan found and cost. */
struct npt_scan {
    u64 pages;    /* pages whose D bit was set and is cleared */
    u64 regions;  /* page tables looked into, 2 MiB each */
    u64 visited;  /* entries read */
    bool changed; /* the caller must call npt_retire before the next scan */
};

/* Clear the D bits of 4 KiB pages in the range, and set the bit of each page in `map`; bit 0 of the map is the page at
 * gpa, a multiple of 2 MiB. Page tables that hardware has not walked since the last scan are skipped. Adds to *scan.
 * Holds the lock for at most 1 GiB at a time. */
void npt_log_scan(struct npt *npt, gpa_t gpa, u64 size, u64 *map, struct npt_scan *scan);

/* Clear the A bits of 4 KiB pages, and set the bit of each page where it was set in `used` (NULL: nowhere); the bit of
 * gpa is `page`. Split large pages whose A bit is set. Bumps generation if it found any. Returns 0 or -ENOMEM. */
int npt_log_used(struct npt *npt, gpa_t gpa, u64 size, u64 *used, u64 page);

/*
 * End the tracking: give all pages of the range the write right, and replace every table that a large page can stand
 * for by that page. The cut-off tables wait for npt_reap. Bumps generation. No vcpu may run.
 */
void npt_log_disarm(struct npt *npt, gpa_t gpa, u64 size);

/* Make all pages of the range untouched, in large pages where these can be. Leaves tables for npt_reap, and bumps
 * generation. No vcpu may run. */
void npt_untouch(struct npt *npt, gpa_t gpa, u64 size);

/* Make all pages of the range untouched, so that npt_fill can bring each by itself, and never lacks memory for that
 * until npt_reap. Bumps generation. Returns 0, or -ENOMEM: some pages may be untouched then. No vcpu may run. */
int npt_withhold(struct npt *npt, gpa_t gpa, u64 size);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the nested tables: entries in both formats, and the walk that npt.c and npt_log.c share. Nobody else includes
 * it. Levels count as in the manuals: 4 = PML4 ... 1 = page table.
 */
#pragma once

#include "host/x86.h"
#include "host/bits.h"
#include "host/frame.h"
#include "mm/npt.h"

#define LEVELS 4
#define ENTRIES 512
#define GPA_LIMIT BIT(48)

#define NPT_DESCEND 1 /* a visitor returns this: the entry is a table now, descend into it */

struct npt_walk {
    struct npt *npt;
    int (*visit)(struct npt_walk *walk, u64 *entry, unsigned level);
    gpa_t gpa, next; /* the visited entry's part of the range */
    bool prune;      /* cut off tables that are empty afterwards */
    bool fold;       /* put a large page in the place of each table that means the same as one afterwards */
    bool flush;      /* a visitor has removed rights */
    unsigned prot;
    u64 offset; /* map: frame - gpa; used: offset in RAM - gpa; modulo 2^64 */
    u64 *used;
    enum npt_track track;
    bool split;
};

/* Visit every entry of the range that is not a table, under the lock, up to the first error; retire translations if
 * walk->flush. */
int npt_range_change(struct npt_walk *walk, gpa_t gpa, u64 size);

/* The entry where the walk for gpa ends, a leaf or absent, and its level. Under the lock. */
u64 *npt_entry_find(const struct npt *npt, gpa_t gpa, unsigned *level);

/* Replace a leaf of level 2 or 3 by a table of the next smaller size. Its entries inherit the leaf's bits, except those
 * that `clear` and `set` change. Returns 0 or -ENOMEM. Under the lock. */
int npt_leaf_split(struct npt *npt, u64 *entry, unsigned level, u64 clear, u64 set);

static inline bool entry_present(const struct npt *npt, u64 entry)
{
    return (entry & npt->format.present) != 0;
}

/* An untouched leaf is not present. */
static inline bool entry_is_leaf(const struct npt *npt, u64 entry, unsigned level)
{
    return entry != 0 && (level == 1 || (entry & npt->format.large));
}

static inline bool entry_is_table(const struct npt *npt, u64 entry, unsigned level)
{
    return entry_present(npt, entry) && !entry_is_leaf(npt, entry, level);
}

static inline u64 *entry_table(u64 entry)
{
    return frame_window(entry & PTE_ADDR);
}

static inline u64 entry_read(const u64 *entry)
{
    return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

/* Release: a table is complete before a processor can follow the entry to it. */
static inline void entry_write(u64 *entry, u64 value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* Replace *old; if hardware has changed the entry meanwhile, refresh *old and return false. */
static inline bool entry_exchange(u64 *entry, u64 *old, u64 value)
{
    return __atomic_compare_exchange_n(entry, old, value, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static inline u64 exec_bits(const struct npt_format *format, unsigned level)
{
    return level > 1 ? format->exec_large : format->exec;
}

static inline u64 leaf_make(const struct npt_format *format, hpa_t frame, unsigned level, unsigned prot)
{
    return frame | (level > 1 ? format->leaf_large : format->leaf_4k) | (prot & NPT_R ? format->read : 0) |
           (prot & NPT_W ? format->write : 0) | (prot & NPT_X ? exec_bits(format, level) : format->no_exec);
}

static inline unsigned leaf_prot(const struct npt_format *format, u64 entry, unsigned level)
{
    u64 bits = exec_bits(format, level);
    bool exec = (entry & bits) == bits && (entry & format->no_exec) == 0;

    return (entry & format->read ? NPT_R : 0) | (entry & format->write ? NPT_W : 0) | (exec ? NPT_X : 0);
}

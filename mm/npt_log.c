/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The changes that the dirty log makes to the nested tables. Rights and D bits change by single atomic operations,
 * because hardware may set A and D at any time, and none of these may be lost.
 *
 * The scan for D bits looks only into page tables whose A bit is set, and clears it. Until the flush that follows, a
 * processor may use its cached way into a table: it then sets a D bit there without setting the A bit again. So the
 * next scan looks again into a table that this scan has looked into; AGAIN marks such a table. Hardware ignores that
 * bit in both formats and at all levels.
 */
#include <errno.h>

#include "host/panic.h"
#include "mm/npt_entry.h"

#define AGAIN BIT(11)

/* The bits of a page that was written, or that the guest may write without our notice. */
static u64 written_bits(const struct npt *npt, unsigned level, enum npt_track track)
{
    bool by_rights = level > 1 || track == NPT_TRACK_RIGHTS;

    return npt->format.dirty | (by_rights ? npt->format.write : 0);
}

static int visit_arm(struct npt_walk *walk, u64 *entry, unsigned level)
{
    u64 old = entry_read(entry), clear = written_bits(walk->npt, level, walk->track);

    if (!entry_present(walk->npt, old))
        return 0;
    if (level > 1 && walk->split)
        return npt_leaf_split(walk->npt, entry, level, 0, 0) ?: NPT_DESCEND;
    while (!entry_exchange(entry, &old, (old | walk->npt->format.write) & ~clear)) {
    }
    walk->flush = true;
    return 0;
}

int npt_log_arm(struct npt *npt, gpa_t gpa, u64 size, enum npt_track track, bool split)
{
    struct npt_walk walk = { .npt = npt, .visit = visit_arm, .track = track, .split = split };

    npt->fresh = NPT_R | NPT_X;
    return npt_range_change(&walk, gpa, size);
}

/* Split a page one step down. The parts of a 1 GiB page lack the write right; so do those of a 2 MiB page, unless D
 * bits tell of writes. */
static int part(struct npt *npt, u64 *entry, unsigned level, enum npt_track track)
{
    u64 write = npt->format.write;
    bool open = level == 2 && track == NPT_TRACK_DIRTY;

    return npt_leaf_split(npt, entry, level, write, open ? write : 0);
}

u64 npt_log_open(struct npt *npt, gpa_t gpa, enum npt_track track)
{
    u64 opened = 0, write = npt->format.write;
    unsigned level;

    spin_lock(&npt->lock);
    for (;;) {
        u64 *entry = npt_entry_find(npt, gpa, &level);

        if (!entry_present(npt, entry_read(entry)) || (entry_read(entry) & write) == write)
            break;
        if (level > 1 && part(npt, entry, level, track) == 0) {
            opened = PAGE_SIZE;
            continue;
        }
        __atomic_fetch_or(entry, write, __ATOMIC_RELAXED);
        opened = level_size(level);
        break;
    }
    spin_unlock(&npt->lock);
    return opened;
}

/* Clear bits of an entry. Returns whether any of them was set. */
static bool entry_clear(u64 *entry, u64 bits)
{
    if (!(entry_read(entry) & bits))
        return false;
    __atomic_fetch_and(entry, ~bits, __ATOMIC_RELAXED);
    return true;
}

bool npt_log_rearm(struct npt *npt, gpa_t gpa, u64 pages, enum npt_track track)
{
    bool changed = false;
    unsigned level;
    u64 *entry, clear;

    assert(is_aligned(gpa, WORD_PAGES * PAGE_SIZE));
    spin_lock(&npt->lock);
    entry = npt_entry_find(npt, gpa, &level);
    clear = written_bits(npt, level, track);
    if (level > 1)
        changed = entry_clear(entry, clear);
    else
        for (; pages != 0; pages &= pages - 1)
            changed |= entry_clear(&entry[__builtin_ctzll(pages)], clear);
    spin_unlock(&npt->lock);
    return changed;
}

/* Is the entry a table that hardware may have walked since the last look? */
static bool table_touched(struct npt *npt, u64 *entry, unsigned level, struct npt_scan *scan)
{
    u64 old = entry_read(entry), accessed = npt->format.accessed;

    scan->visited++;
    if (!entry_is_table(npt, old, level) || !(old & (accessed | AGAIN)))
        return false;
    while (!entry_exchange(entry, &old, (old & ~(accessed | AGAIN)) | (old & accessed ? AGAIN : 0))) {
    }
    scan->changed |= (old & accessed) != 0;
    return true;
}

/* Take the D bits of 64 pages: clear them, and return a map of those that were set. */
static u64 d_bits_take(const struct npt *npt, u64 *entry)
{
    u64 pages = 0;

    for (unsigned i = 0; i < WORD_PAGES; i++)
        if (entry_clear(&entry[i], npt->format.dirty))
            pages |= BIT(i);
    return pages;
}

/* Scan all pages of a page table; their bits begin at *map. */
static void table_scan(const struct npt *npt, u64 *table, u64 *map, struct npt_scan *scan)
{
    scan->regions++;
    scan->visited += ENTRIES;
    for (unsigned i = 0; i < ENTRIES / WORD_PAGES; i++) {
        u64 pages = d_bits_take(npt, &table[i * WORD_PAGES]);

        if (pages == 0)
            continue;
        __atomic_fetch_or(&map[i], pages, __ATOMIC_RELAXED);
        for (; pages != 0; pages &= pages - 1)
            scan->pages++;
    }
    scan->changed |= scan->pages != 0;
}

/* Scan the page tables of a range that lies in one GiB. */
static void gib_scan(struct npt *npt, gpa_t gpa, u64 size, u64 *map, struct npt_scan *scan)
{
    u64 *table = frame_window(npt->root), *entry = &table[gpa / level_size(4) % ENTRIES];

    if (!entry_is_table(npt, entry_read(entry), 4))
        return;
    entry = &entry_table(entry_read(entry))[gpa / level_size(3) % ENTRIES];
    if (!entry_is_table(npt, entry_read(entry), 3))
        return;
    table = entry_table(entry_read(entry));
    for (u64 done = 0; done < size; done += level_size(2)) {
        entry = &table[(gpa + done) / level_size(2) % ENTRIES];
        if (table_touched(npt, entry, 2, scan))
            table_scan(npt, entry_table(entry_read(entry)), &map[done / PAGE_SIZE / WORD_PAGES], scan);
    }
}

void npt_log_scan(struct npt *npt, gpa_t gpa, u64 size, u64 *map, struct npt_scan *scan)
{
    assert(is_aligned(gpa, level_size(2)));
    for (u64 done = 0, step; done < size; done += step) {
        step = MIN(size - done, level_size(3) - (gpa + done) % level_size(3));
        spin_lock(&npt->lock);
        gib_scan(npt, gpa + done, step, &map[done / PAGE_SIZE / WORD_PAGES], scan);
        spin_unlock(&npt->lock);
    }
}

static int visit_used(struct npt_walk *walk, u64 *entry, unsigned level)
{
    u64 accessed = walk->npt->format.accessed;

    if (!entry_present(walk->npt, entry_read(entry)) || !entry_clear(entry, accessed))
        return 0;
    walk->flush = true;
    if (level > 1) /* 4 KiB pages begin as not used */
        return npt_leaf_split(walk->npt, entry, level, 0, level > 2 ? accessed : 0) ?: NPT_DESCEND;
    if (walk->used)
        bitmap_set(walk->used, (walk->gpa + walk->offset) / PAGE_SIZE);
    return 0;
}

int npt_log_used(struct npt *npt, gpa_t gpa, u64 size, u64 *used, u64 page)
{
    struct npt_walk walk = { .npt = npt, .visit = visit_used, .used = used, .offset = page * PAGE_SIZE - gpa };

    return npt_range_change(&walk, gpa, size);
}

static int visit_disarm(struct npt_walk *walk, u64 *entry, unsigned level)
{
    (void)level;
    if (entry_present(walk->npt, entry_read(entry)))
        __atomic_fetch_or(entry, walk->npt->format.write, __ATOMIC_RELAXED);
    return 0;
}

void npt_log_disarm(struct npt *npt, gpa_t gpa, u64 size)
{
    struct npt_walk walk = { .npt = npt, .visit = visit_disarm, .fold = true, .flush = true };

    npt->fresh = NPT_RWX;
    npt_range_change(&walk, gpa, size);
}

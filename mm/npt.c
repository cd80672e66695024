/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested page tables: one walker over both formats.
 *
 * Levels count as in the manuals: 4 = PML4 ... 1 = page table. npt_range_change() visits every entry of a range that is
 * not a table; each public change is one visitor. Hardware reads the tables and sets A/D bits in them without our lock.
 * Therefore:
 *   - an entry that stays present is replaced by a compare-and-exchange, retried if an A or D bit came in between;
 *   - a new table is filled before the entry that points to it is written;
 *   - a table that becomes empty is unlinked but not freed, as a processor may have cached the way to it: it waits in
 *     the npt.spare chain for npt_reap().
 *
 * The chain runs through entry 0 of each table. A page-aligned address has no present bit: to hardware that still finds
 * the table, the entry is absent.
 */
#include "mm/npt.h"

#include <errno.h>
#include <string.h>

#include "host/bits.h"
#include "host/panic.h"
#include "mm/npt_entry.h"

#define WITHHELD BIT(11) /* in a large page without rights, where all bits are ours: a table for its parts is kept */

/* Allocate an empty table and count it; NULL if memory is short. */
static u64 *table_alloc(struct npt *npt)
{
    u64 *table = frame_alloc_page();

    if (table)
        npt->tables++;
    return table;
}

static void table_free(struct npt *npt, u64 *table)
{
    frame_free_page(table);
    npt->tables--;
}

static u64 table_entry(const struct npt *npt, const u64 *table)
{
    return frame_address(table) | npt->format.table;
}

int npt_leaf_split(struct npt *npt, u64 *entry, unsigned level, u64 clear, u64 set)
{
    const struct npt_format *format = &npt->format;
    u64 *table = table_alloc(npt);
    u64 old = entry_read(entry);

    assert_held(&npt->lock);
    if (!table)
        return -ENOMEM;
    do {
        u64 first = leaf_make(format, old & PTE_ADDR, level - 1, leaf_prot(format, old, level)) |
                    (old & (format->accessed | format->dirty));

        first = (first & ~clear) | set;
        for (unsigned i = 0; i < ENTRIES; i++)
            table[i] = first + i * level_size(level - 1);
    } while (!entry_exchange(entry, &old, table_entry(npt, table)));
    return 0;
}

static bool table_is_empty(const u64 *table)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (table[i] != 0)
            return false;
    }
    return true;
}

/* The entry of a large page that means the same as this table of `level`; its A and D combine those of all parts.
 * Returns 0 if no large page can stand for the table. */
static u64 table_as_leaf(const struct npt *npt, const u64 *table, unsigned level)
{
    const struct npt_format *format = &npt->format;
    u64 hardware = format->accessed | format->dirty, first = table[0] & ~hardware, seen = 0;

    if (!entry_is_leaf(npt, first, level) || !is_aligned(first & PTE_ADDR, level_size(level + 1)))
        return 0;
    if (level + 1 > (format->has_1g ? 3 : 2))
        return 0;
    for (unsigned i = 0; i < ENTRIES; i++) {
        if ((table[i] & ~hardware) != first + i * level_size(level))
            return 0;
        seen |= table[i] & hardware;
    }
    return leaf_make(format, first & PTE_ADDR, level + 1, leaf_prot(format, first, level)) | seen;
}

/* Keep a table that is not in use; take one that was kept. */
static void spare_put(struct npt *npt, u64 *table)
{
    entry_write(&table[0], npt->spare);
    npt->spare = frame_address(table);
}

static u64 *spare_take(struct npt *npt)
{
    u64 *table = frame_window(npt->spare);

    assert(npt->spare);
    npt->spare = table[0];
    return table;
}

/* Store `value` in entry, which pointed to a table, and put that table into the chain for npt_reap. */
static void table_cut(struct npt *npt, u64 *entry, u64 value)
{
    u64 *table = entry_table(entry_read(entry));

    entry_write(entry, value);
    spare_put(npt, table);
}

/* The walk has changed the table in this entry: does it need the table any more? */
static void table_settle(const struct npt_walk *walk, u64 *entry, unsigned level)
{
    const u64 *table = entry_table(entry_read(entry));
    u64 leaf = walk->fold ? table_as_leaf(walk->npt, table, level - 1) : 0;

    if (leaf || (walk->prune && table_is_empty(table)))
        table_cut(walk->npt, entry, leaf);
}

/* Visit all entries that are not tables in [gpa, end), which lies inside `table`. Stops at the first error. */
static int range_walk(struct npt_walk *walk, u64 *table, unsigned level, gpa_t gpa, gpa_t end)
{
    for (gpa_t next; gpa < end; gpa = next) {
        u64 *entry = &table[gpa / level_size(level) % ENTRIES];
        int rc = NPT_DESCEND;

        next = MIN(align_down(gpa, level_size(level)) + level_size(level), end);
        walk->gpa = gpa;
        walk->next = next;
        if (!entry_is_table(walk->npt, entry_read(entry), level))
            rc = walk->visit(walk, entry, level);
        if (rc == NPT_DESCEND) {
            rc = range_walk(walk, entry_table(entry_read(entry)), level - 1, gpa, next);
            table_settle(walk, entry, level);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

void npt_retire(struct npt *npt)
{
    /* Release: a CPU that sees the new generation flushes after the entries have changed. */
    __atomic_fetch_add(&npt->generation, 1, __ATOMIC_RELEASE);
}

int npt_range_change(struct npt_walk *walk, gpa_t gpa, u64 size)
{
    struct npt *npt = walk->npt;
    int rc;

    assert(is_aligned(gpa | size, PAGE_SIZE) && gpa <= GPA_LIMIT && size <= GPA_LIMIT - gpa);
    spin_lock(&npt->lock);
    rc = range_walk(walk, frame_window(npt->root), LEVELS, gpa, gpa + size);
    if (walk->flush)
        npt_retire(npt);
    spin_unlock(&npt->lock);
    return rc;
}

/* Is all of the visited entry in the range? */
static bool whole(const struct npt_walk *walk, unsigned level)
{
    return walk->next - walk->gpa == level_size(level);
}

static int visit_map(struct npt_walk *walk, u64 *entry, unsigned level)
{
    struct npt *npt = walk->npt;
    hpa_t frame = walk->gpa + walk->offset;
    u64 *table;

    if (entry_read(entry) != 0)
        return -EEXIST;
    if (level <= (npt->format.has_1g ? 3 : 2) && whole(walk, level) && is_aligned(frame, level_size(level))) {
        entry_write(entry, leaf_make(&npt->format, frame, level, walk->prot));
        return 0;
    }
    table = table_alloc(npt);
    if (!table)
        return -ENOMEM;
    entry_write(entry, table_entry(npt, table));
    return NPT_DESCEND;
}

static int visit_unmap(struct npt_walk *walk, u64 *entry, unsigned level)
{
    if (entry_read(entry) == 0)
        return 0;
    if (!whole(walk, level))
        return npt_leaf_split(walk->npt, entry, level, 0, 0) ?: NPT_DESCEND;
    entry_write(entry, 0);
    walk->flush = true;
    return 0;
}

int npt_map(struct npt *npt, gpa_t gpa, hpa_t frame, u64 size, unsigned prot)
{
    struct npt_walk walk = { .npt = npt, .visit = visit_map, .prot = prot, .offset = frame - gpa };

    assert(is_aligned(frame, PAGE_SIZE));
    return npt_range_change(&walk, gpa, size);
}

int npt_unmap(struct npt *npt, gpa_t gpa, u64 size)
{
    struct npt_walk walk = { .npt = npt, .visit = visit_unmap, .prune = true };

    return npt_range_change(&walk, gpa, size);
}

u64 *npt_entry_find(const struct npt *npt, gpa_t gpa, unsigned *level)
{
    u64 *table = frame_window(npt->root);

    assert_held(&npt->lock);
    for (*level = LEVELS;; --*level) {
        u64 *entry = &table[gpa / level_size(*level) % ENTRIES];

        if (!entry_is_table(npt, entry_read(entry), *level))
            return entry;
        table = entry_table(entry_read(entry));
    }
}

/* The lock is held while the page is zeroed, so that no other processor comes by and uses it. */
bool npt_touch(struct npt *npt, gpa_t gpa)
{
    unsigned level;
    u64 *entry, old;
    bool untouched;

    spin_lock(&npt->lock);
    do {
        entry = npt_entry_find(npt, gpa, &level);
        old = entry_read(entry);
        untouched = old != 0 && !entry_present(npt, old);
    } while (untouched && level > 2 && npt_leaf_split(npt, entry, level, 0, 0) == 0);
    if (untouched) {
        if (!frame_claim(old & PTE_ADDR, FRAME_ORDER_2M * (level - 1)))
            memset(frame_window(old & PTE_ADDR), 0, level_size(level));
        entry_write(entry, leaf_make(&npt->format, old & PTE_ADDR, level, npt->fresh));
    }
    spin_unlock(&npt->lock);
    return untouched;
}

static u64 untouched(const struct npt *npt, hpa_t frame, unsigned level)
{
    return leaf_make(&npt->format, frame, level, NPT_UNTOUCHED);
}

/* A page of 2 MiB that is withheld as a whole stays one until a part of it comes; a table for that is kept. */
static int visit_withhold(struct npt_walk *walk, u64 *entry, unsigned level)
{
    u64 old = entry_read(entry), *table;

    if (level > 2 || !whole(walk, level))
        return npt_leaf_split(walk->npt, entry, level, 0, 0) ?: NPT_DESCEND;
    if (level == 2 && !(old & WITHHELD)) {
        table = table_alloc(walk->npt);
        if (!table)
            return -ENOMEM;
        spare_put(walk->npt, table);
    }
    entry_write(entry, untouched(walk->npt, old & PTE_ADDR, level) | (level == 2 ? WITHHELD : 0));
    return 0;
}

static int visit_untouch(struct npt_walk *walk, u64 *entry, unsigned level)
{
    if (entry_read(entry) != 0)
        entry_write(entry, untouched(walk->npt, entry_read(entry) & PTE_ADDR, level));
    return 0;
}

void npt_untouch(struct npt *npt, gpa_t gpa, u64 size)
{
    struct npt_walk walk = { .npt = npt, .visit = visit_untouch, .fold = true, .flush = true };

    npt_range_change(&walk, gpa, size);
}

int npt_withhold(struct npt *npt, gpa_t gpa, u64 size)
{
    struct npt_walk walk = { .npt = npt, .visit = visit_withhold, .flush = true };

    return npt_range_change(&walk, gpa, size);
}

/* Split a page of 2 MiB that was withheld as a whole. Hardware finds no rights in its entry, and so changes nothing. */
static u64 *withheld_split(struct npt *npt, u64 *entry, gpa_t gpa)
{
    u64 *table = spare_take(npt);

    assert(entry_read(entry) & WITHHELD);
    for (unsigned i = 0; i < ENTRIES; i++)
        table[i] = untouched(npt, (entry_read(entry) & PTE_ADDR) + i * PAGE_SIZE, 1);
    entry_write(entry, table_entry(npt, table));
    return &table[gpa / PAGE_SIZE % ENTRIES];
}

void npt_fill(struct npt *npt, gpa_t gpa, const void *bytes)
{
    unsigned level;

    spin_lock(&npt->lock);
    u64 *entry = npt_entry_find(npt, gpa, &level);

    if (level > 1)
        entry = withheld_split(npt, entry, gpa);
    hpa_t frame = entry_read(entry) & PTE_ADDR;

    spin_unlock(&npt->lock);
    if (!bytes)
        return;
    frame_claim(frame, FRAME_ORDER_4K);
    memcpy(frame_window(frame), bytes, PAGE_SIZE); /* while it is missing, nobody comes by */
    spin_lock(&npt->lock);
    entry_write(entry, leaf_make(&npt->format, frame, 1, npt->fresh));
    spin_unlock(&npt->lock);
}

int npt_exec_open(struct npt *npt, gpa_t gpa)
{
    const struct npt_format *format = &npt->format;
    int opened = 0;

    if (format->exec_large == format->exec)
        return 0;
    spin_lock(&npt->lock);
    for (;;) {
        unsigned level;
        u64 *entry = npt_entry_find(npt, gpa, &level);

        if (level == 1 || !(entry_read(entry) & format->exec_large))
            break;
        if (npt_leaf_split(npt, entry, level, 0, 0)) {
            opened = -ENOMEM;
            break;
        }
        npt->exec_splits++;
        opened = 1;
    }
    spin_unlock(&npt->lock);
    return opened;
}

bool npt_lookup(struct npt *npt, gpa_t gpa, struct npt_leaf *leaf)
{
    const struct npt_format *format = &npt->format;
    unsigned level;
    u64 entry;

    if (gpa >= GPA_LIMIT)
        return false;
    spin_lock(&npt->lock);
    entry = entry_read(npt_entry_find(npt, gpa, &level));
    spin_unlock(&npt->lock);
    if (entry == 0)
        return false;
    *leaf = (struct npt_leaf){
        .frame = entry & PTE_ADDR,
        .page_size = level_size(level),
        .prot = leaf_prot(format, entry, level),
    };
    return true;
}

int npt_init(struct npt *npt, const struct npt_format *format)
{
    u64 *root;

    *npt = (struct npt){ .format = *format, .lock = SPINLOCK(LOCK_NPT) };
    root = table_alloc(npt);
    if (!root)
        return -ENOMEM;
    npt->root = frame_address(root);
    return 0;
}

void npt_reap(struct npt *npt)
{
    spin_lock(&npt->lock);
    while (npt->spare != 0)
        table_free(npt, spare_take(npt));
    spin_unlock(&npt->lock);
}

static void tables_free(struct npt *npt, u64 *table, unsigned level)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (entry_is_table(npt, table[i], level))
            tables_free(npt, entry_table(table[i]), level - 1);
    }
    table_free(npt, table);
}

void npt_fini(struct npt *npt)
{
    npt_reap(npt);
    tables_free(npt, frame_window(npt->root), LEVELS);
    assert(npt->tables == 0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log.
 *
 * The map is kept until the guest's memory is freed, so that a writer on another CPU never finds it freed. A bit is
 * set by a locked operation without reading it first: the processor could do that read before the write to the page
 * that is to be marked, find a bit that a harvest is just taking, and leave the page unmarked.
 */
#include "mm/dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "mm/guest_mem.h"
#include "mm/guest_missing.h"

#define CHUNK 1024 /* pages that a harvest does between two checks of its cost */

static void count(u64 *counter, u64 n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static enum npt_track track(const struct dirty_log *dirty)
{
    return dirty->producer == DIRTY_WRITE_PROTECT ? NPT_TRACK_RIGHTS : NPT_TRACK_DIRTY;
}

u64 dirty_words(const struct guest_mem *mem)
{
    return align_up(mem->size / PAGE_SIZE, WORD_PAGES) / WORD_PAGES;
}

/* --- The map --- */

void dirty_free(struct guest_mem *mem)
{
    free(mem->dirty.log);
    mem->dirty = (struct dirty_log){ 0 };
}

static int map_make(struct guest_mem *mem)
{
    struct dirty_log *dirty = &mem->dirty;

    dirty->log = dirty->log ?: calloc(dirty_words(mem), sizeof(u64));
    if (!dirty->log)
        return -ENOMEM;
    dirty->pages = mem->size / PAGE_SIZE;
    return 0;
}

/* Returns whether the page was not in the map. */
static bool map_set(u64 *map, u64 page)
{
    u64 bit = BIT(page % WORD_PAGES); /* by a name, so that the compiler sees one instruction, lock bts */

    return !(__atomic_fetch_or(&map[page / WORD_PAGES], bit, __ATOMIC_SEQ_CST) & bit);
}

/* --- Producers --- */

void dirty_written(struct guest_mem *mem, gpa_t gpa, u64 len)
{
    for (gpa_t at = align_down(gpa, PAGE_SIZE); at < gpa + len; at += PAGE_SIZE)
        count(&mem->dirty.count.by_hypervisor, map_set(mem->dirty.log, guest_mem_page(mem, at)));
}

/*
 * The page gets the write right first and the mark second: a harvest between the two finds no mark, and the next
 * harvest takes it. In the other order a harvest could take the mark, find the page still protected, and leave it
 * writable and unmarked.
 */
bool dirty_write_fault(struct guest_mem *mem, gpa_t gpa)
{
    struct dirty_log *dirty = &mem->dirty;
    u64 size;

    if (dirty->producer == DIRTY_OFF)
        return false;
    size = npt_log_open(mem->npt, gpa, track(dirty));
    if (size == 0)
        return false;
    count(&dirty->count.faults, 1);
    /* If a large page could not be split, all its parts count as written. */
    if (dirty->producer == DIRTY_WRITE_PROTECT || size > PAGE_SIZE)
        for (gpa_t at = align_down(gpa, size), end = at + size; at < end; at += PAGE_SIZE)
            count(&dirty->count.by_fault, map_set(dirty->log, guest_mem_page(mem, at)));
    return true;
}

void dirty_pml_drain(struct guest_mem *mem, const u64 *entries, unsigned number)
{
    u64 new = 0;

    for (unsigned i = 0; i < number; i++) {
        u64 page = slots_page(mem->slot, entries[i]);

        if (page != GUEST_PAGE_NONE)
            new += map_set(mem->dirty.log, page);
    }
    count(&mem->dirty.count.by_pml, new);
    count(&mem->dirty.count.pml_drains, 1);
}

/* How many pages, from number `page` on, lie in one piece; at most `pages`. */
static u64 pages_together(const struct guest_mem *mem, u64 page, u64 pages)
{
    return MIN(pages, slots_rest(mem->slot, slots_gpa(mem->slot, page)) / PAGE_SIZE);
}

/* Move the D bits of `pages` pages into the log. Returns how many entries were read. */
static u64 scan(struct guest_mem *mem, u64 page, u64 pages, bool *retire)
{
    struct dirty_counters *counters = &mem->dirty.count;
    struct npt_scan scanned = { 0 };

    for (u64 step; (step = pages_together(mem, page, pages)); page += step, pages -= step)
        npt_log_scan(mem->npt, guest_mem_gpa(mem, page), step * PAGE_SIZE, &mem->dirty.log[page / WORD_PAGES],
                     &scanned);
    count(&counters->by_dbit, scanned.pages);
    count(&counters->scanned_regions, scanned.regions);
    count(&counters->scanned_entries, scanned.visited);
    *retire |= scanned.changed;
    return scanned.visited;
}

/* --- Start and end --- */

static int arm(struct guest_mem *mem, enum dirty_producer producer, enum dirty_split split)
{
    int rc = 0;

    mem->dirty.producer = producer;
    mem->folded = 0;
    for (unsigned i = 0; i < GUEST_SLOTS && rc == 0; i++)
        rc = npt_log_arm(mem->npt, mem->slot[i].base, mem->slot[i].size, track(&mem->dirty),
                         split == DIRTY_SPLIT_EAGER);
    return rc;
}

int dirty_start(struct guest_mem *mem, enum dirty_producer producer, enum dirty_split split)
{
    bool retire = false; /* unused: arm() bumps the generation itself */
    int rc;

    if (producer != DIRTY_WRITE_PROTECT && !mem->npt->format.dirty)
        return -ENOTSUP;
    rc = map_make(mem);
    if (rc != 0)
        return rc;
    if (mem->dirty.producer == DIRTY_DBIT)
        scan(mem, 0, mem->dirty.pages, &retire);
    rc = arm(mem, producer, split);
    if (rc != 0)
        dirty_stop_part(mem, ~0ULL);
    return rc;
}

bool dirty_fold_part(struct guest_mem *mem, u64 pages)
{
    u64 step;

    for (; (step = pages_together(mem, mem->folded, pages)); mem->folded += step, pages -= step)
        npt_log_disarm(mem->npt, guest_mem_gpa(mem, mem->folded), step * PAGE_SIZE);
    npt_reap(mem->npt);
    if (mem->folded < mem->size / PAGE_SIZE)
        return false;
    mem->folded = 0;
    mem->split = false;
    guest_mem_forget_missing(mem);
    return true;
}

bool dirty_stop_part(struct guest_mem *mem, u64 pages)
{
    struct dirty_log *dirty = &mem->dirty;

    if (dirty->producer == DIRTY_OFF)
        return true;
    if (!dirty_fold_part(mem, pages))
        return false;
    dirty->producer = DIRTY_OFF;
    dirty->taken = 0;
    memset(dirty->log, 0, dirty_words(mem) * sizeof(u64));
    return true;
}

/* --- Rounds --- */

/* Take one word of the log; its pages are as if not written from here on. Returns how many entries were looked at. */
static u64 word_harvest(struct guest_mem *mem, u64 word, u64 *to_send)
{
    struct dirty_log *dirty = &mem->dirty;
    u64 pages = __atomic_load_n(&dirty->log[word], __ATOMIC_RELAXED);

    if (pages == 0)
        return 1;
    pages = __atomic_exchange_n(&dirty->log[word], 0, __ATOMIC_SEQ_CST);
    dirty->retire |= npt_log_rearm(mem->npt, guest_mem_gpa(mem, word * WORD_PAGES), pages, track(dirty));
    if (to_send)
        to_send[word] |= pages;
    dirty->count.harvested += bits_count(pages);
    return WORD_PAGES;
}

bool dirty_harvest_part(struct guest_mem *mem, u64 *to_send, u64 entries)
{
    struct dirty_log *dirty = &mem->dirty;

    for (u64 looked = 0, end; dirty->taken < dirty->pages && looked < entries; dirty->taken = end) {
        end = MIN(dirty->taken + CHUNK, dirty->pages);
        if (dirty->producer == DIRTY_DBIT)
            looked += scan(mem, dirty->taken, end - dirty->taken, &dirty->retire);
        for (u64 word = dirty->taken / WORD_PAGES; word * WORD_PAGES < end; word++)
            looked += word_harvest(mem, word, to_send);
    }
    if (dirty->taken < dirty->pages)
        return false;
    if (dirty->retire)
        npt_retire(mem->npt);
    dirty->count.retired += dirty->retire;
    dirty->count.harvests++;
    dirty->taken = 0;
    dirty->retire = false;
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map of missing pages. Only the host loop makes and frees it, while no vcpu runs, and only it changes which pages
 * are missing; so everybody looks without a lock whether a page is, as each access of the hypervisor's does. What was
 * asked for is under mem->missing_lock.
 */
#include "mm/guest_missing.h"

#include <errno.h>
#include <stdlib.h>

#include "host/bits.h"
#include "host/cpu.h"
#include "host/panic.h"
#include "host/smp.h"

struct guest_missing {
    u64 wishes;          /* bits in `wanted` */
    u64 *asked, *wanted; /* by page: somebody has asked; the wish waits to be fetched. Subsets of `missing` */
    u64 missing[];       /* by page; the other two maps are behind it */
};

static struct guest_missing *map_make(struct guest_mem *mem)
{
    u64 words = dirty_words(mem);
    struct guest_missing *map = calloc(1, sizeof(*map) + 3 * words * sizeof(u64));

    if (map) {
        map->asked = map->missing + words;
        map->wanted = map->asked + words;
    }
    return map;
}

/* Sequentially consistent: a vcpu notes its page and then looks here, vm_page_supply changes this and then looks who
 * has noted the page. */
bool guest_mem_missing(struct guest_mem *mem, u64 page)
{
    assert(page < mem->size / PAGE_SIZE);
    return !guest_mem_whole(mem) &&
           __atomic_load_n(&mem->missing->missing[page / WORD_PAGES], __ATOMIC_SEQ_CST) >> (page % WORD_PAGES) & 1;
}

static void expect(struct guest_mem *mem, u64 first, u64 pages)
{
    for (u64 page = first, next; page < first + pages; page = next) {
        u64 *word = &mem->missing->missing[page / WORD_PAGES], bits;

        next = MIN(align_up(page + 1, WORD_PAGES), first + pages);
        bits = BITS((next - 1) % WORD_PAGES, page % WORD_PAGES);
        mem->missing_pages += bits_count(bits & ~*word);
        *word |= bits;
    }
}

int guest_mem_expect(struct guest_mem *mem, gpa_t gpa, u64 pages)
{
    int err;

    if (pages == 0 || pages > mem->size / PAGE_SIZE || !guest_mem_valid(mem, gpa, pages * PAGE_SIZE) ||
        !is_aligned(gpa, PAGE_SIZE))
        return -EINVAL;
    assert(mem->dirty.producer == DIRTY_OFF);
    mem->missing = mem->missing ?: map_make(mem);
    if (!mem->missing)
        return -ENOMEM;
    mem->split = true;
    mem->folded = 0;
    err = npt_withhold(mem->npt, gpa, pages * PAGE_SIZE);
    if (!err)
        expect(mem, guest_mem_page(mem, gpa), pages);
    return err;
}

static void unwant(struct guest_missing *map, u64 page)
{
    map->wishes -= bitmap_test(map->wanted, page);
    bitmap_clear(map->wanted, page);
}

/* Ask for a page that was missing a moment ago. Returns whether it is. */
static bool ask_for(struct guest_mem *mem, u64 page)
{
    struct guest_missing *map = mem->missing;

    spin_lock(&mem->missing_lock);
    bool missing = guest_mem_missing(mem, page);

    if (missing && !bitmap_test(map->asked, page)) {
        bitmap_set(map->asked, page);
        bitmap_set(map->wanted, page);
        if (map->wishes++ == 0)
            cpu_kick(0); /* its loop fetches the page, maybe in the next round only */
        mem->requests++;
    }
    spin_unlock(&mem->missing_lock);
    return missing;
}

int guest_mem_ask_missing(struct guest_mem *mem, gpa_t gpa, u64 len)
{
    int answer = 0;

    if (len == 0 || !guest_mem_valid(mem, gpa, len))
        return 0;
    for (u64 page = guest_mem_page(mem, gpa), end = guest_mem_page(mem, gpa + len - 1) + 1; page < end; page++) {
        if (!guest_mem_missing(mem, page) || !ask_for(mem, page))
            continue;
        this_cpu()->page_asked = page;
        answer = -EAGAIN;
    }
    return answer;
}

/* The page has its contents and rights before its bit goes: who finds the bit clear and the page without rights may
 * take it for untouched, and zero it. */
int guest_mem_supply(struct guest_mem *mem, u64 page, const void *bytes)
{
    struct guest_missing *map = mem->missing;

    if (!guest_mem_missing(mem, page))
        return -EEXIST;
    npt_fill(mem->npt, guest_mem_gpa(mem, page), bytes);
    spin_lock(&mem->missing_lock);
    mem->answered += bitmap_test(map->asked, page);
    unwant(map, page);
    bitmap_clear(map->asked, page);
    __atomic_and_fetch(&map->missing[page / WORD_PAGES], ~BIT(page % WORD_PAGES), __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&mem->missing_pages, 1, __ATOMIC_SEQ_CST);
    spin_unlock(&mem->missing_lock);
    return 0;
}

bool guest_mem_wanted(struct guest_mem *mem, u64 *page)
{
    struct guest_missing *map = mem->missing;

    if (!map || !__atomic_load_n(&map->wishes, __ATOMIC_RELAXED))
        return false;
    spin_lock(&mem->missing_lock);
    bool found = map->wishes != 0;

    if (found) {
        u64 word = 0;

        while (!map->wanted[word])
            word++;
        *page = word * WORD_PAGES + (u64)__builtin_ctzll(map->wanted[word]);
        unwant(map, *page);
    }
    spin_unlock(&mem->missing_lock);
    return found;
}

void guest_mem_ask_again(struct guest_mem *mem)
{
    struct guest_missing *map = mem->missing;

    if (!map)
        return;
    spin_lock(&mem->missing_lock);
    for (u64 i = 0; i < dirty_words(mem); i++) {
        map->wishes += bits_count(map->asked[i] & ~map->wanted[i]);
        map->wanted[i] = map->asked[i];
    }
    spin_unlock(&mem->missing_lock);
}

void guest_mem_forget_missing(struct guest_mem *mem)
{
    struct guest_missing *map = mem->missing;

    mem->missing = NULL;
    mem->missing_pages = 0;
    free(map);
}

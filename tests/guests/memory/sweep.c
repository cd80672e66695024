/* SPDX-License-Identifier: BSD-2-Clause */
/* All RAM but this image: it is zeros at first; then a line in every page, and every byte of a few MiB. */
#include "tests/guests/memory/memory.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

#define LINE_WORDS 8
#define FULL_SWEEP MiB(1)
#define LEGACY_END MiB(1)

/* Different for all addresses, and for the two passes. */
static u64 pattern(u64 address, u64 seed)
{
    return (address ^ seed) * 0x9E3779B97F4A7C15ULL;
}

static bool skip(u64 page)
{
    return page < (u64)image_end && page + PAGE_SIZE > (u64)image_start;
}

/* Where in its page the line lies: it wanders, so that no offset is left out for ever. */
static u64 line_of(u64 page)
{
    return page + (page >> PAGE_SHIFT) % (PAGE_SIZE / (8 * LINE_WORDS)) * 8 * LINE_WORDS;
}

static bool is_zeros(u64 line)
{
    volatile u64 *p = phys(line);
    u64 all = 0;

    for (unsigned i = 0; i < LINE_WORDS; i++)
        all |= p[i];
    return all == 0;
}

/* Pages above what firmware and loader use, of which the beginning or the line is not zeros: somebody left that there.
 */
static u64 sweep_left(void)
{
    u64 left = 0;

    for (u64 page = LEGACY_END; page < boot_ram_end(~0ULL); page += PAGE_SIZE)
        if (boot_is_ram(page, PAGE_SIZE) && !skip(page))
            left += !is_zeros(page) || !is_zeros(line_of(page));
    return left;
}

static void line_write(u64 page)
{
    u64 line = line_of(page);
    volatile u64 *p = phys(line);

    for (unsigned i = 0; i < LINE_WORDS; i++)
        p[i] = pattern(line + 8 * i, 1);
}

static bool line_right(u64 page)
{
    u64 line = line_of(page);
    volatile u64 *p = phys(line);

    for (unsigned i = 0; i < LINE_WORDS; i++)
        if (p[i] != pattern(line + 8 * i, 1))
            return false;
    return true;
}

/* Upwards to write, downwards to read: two pages on one frame would show. */
static u64 sweep_lines(u64 *pages)
{
    u64 wrong = 0;

    *pages = 0;
    for (u32 i = 0; i < boot.nr_regions; i++) {
        const struct memory_region *r = &boot.region[i];

        if (r->kind != MEMORY_RAM)
            continue;
        for (u64 page = align_up(r->base, PAGE_SIZE); page + PAGE_SIZE <= r->base + r->size; page += PAGE_SIZE)
            if (!skip(page))
                line_write(page);
    }
    for (u32 i = boot.nr_regions; i-- > 0;) {
        const struct memory_region *r = &boot.region[i];
        u64 first = align_up(r->base, PAGE_SIZE);

        if (r->kind != MEMORY_RAM)
            continue;
        for (u64 page = align_down(r->base + r->size, PAGE_SIZE); page > first;) {
            page -= PAGE_SIZE;
            if (skip(page))
                continue;
            ++*pages;
            wrong += !line_right(page);
        }
    }
    return wrong;
}

static bool sweep_full(u64 base, u64 size, u64 seed)
{
    for (u64 a = base; a < base + size; a += 8)
        *phys(a) = pattern(a, seed);
    for (u64 a = base + size; a > base;) {
        a -= 8;
        if (*phys(a) != pattern(a, seed))
            return false;
    }
    return true;
}

void test_sweep(void)
{
    u64 pages, wrong;
    u64 end = boot_ram_end(GiB(4));
    u64 size = MIN(FULL_SWEEP, align_down(end, PAGE_SIZE) - align_up((u64)image_end, PAGE_SIZE));

    report_prefix("sweep");
    if (boot.godwit)
        report_equal("pages in which somebody left something", sweep_left(), 0);
    else
        report_skip("pages in which somebody left something", "another machine's firmware uses RAM");
    wrong = sweep_lines(&pages);
    kprintf("%lu pages of RAM besides this image\n", pages);
    report_equal("every page keeps its line", wrong, 0);
    report("the memory map has RAM to test", pages > 0);
    report("every word behind this image", sweep_full(align_up((u64)image_end, PAGE_SIZE), size, 2));
    report("every word below the top of RAM", sweep_full(align_down(end, PAGE_SIZE) - size, size, 3));
}

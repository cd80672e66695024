/* SPDX-License-Identifier: BSD-2-Clause */
/* The hand-over's memory map: sorted, merged, not overlapping, whatever order the firmware reports ranges in. */
/* sources: boot/memmap.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/memmap.h"

#define PAGE 4096ULL

static struct boot_info boot_info;

static int map_clear(void **state)
{
    (void)state;
    memset(&boot_info, 0, sizeof(boot_info));
    return 0;
}

static void range_is(uint32_t i, uint64_t base, uint64_t size, uint32_t kind)
{
    assert_int_equal(boot_info.mem[i].base, base);
    assert_int_equal(boot_info.mem[i].size, size);
    assert_int_equal(boot_info.mem[i].kind, kind);
}

static void ranges_are_sorted_and_merged(void **state)
{
    (void)state;
    assert_true(memmap_add(&boot_info, 0x3000, 0x1000, MEM_USABLE));
    assert_true(memmap_add(&boot_info, 0x1000, 0x1000, MEM_USABLE));
    assert_true(memmap_add(&boot_info, 0x8000, 0x1000, MEM_ACPI));
    assert_true(memmap_add(&boot_info, 0x5000, 0, MEM_ACPI));
    assert_int_equal(boot_info.nr_mem, 3);
    assert_true(memmap_add(&boot_info, 0x2000, 0x1000, MEM_USABLE)); /* closes the gap */
    assert_int_equal(boot_info.nr_mem, 2);
    range_is(0, 0x1000, 0x3000, MEM_USABLE);
    range_is(1, 0x8000, 0x1000, MEM_ACPI);
    assert_true(memmap_add(&boot_info, 0x4000, 0x4000, MEM_MMIO)); /* touches both, is neither's kind */
    assert_int_equal(boot_info.nr_mem, 3);
}

static void overlaps_are_refused(void **state)
{
    (void)state;
    assert_true(memmap_add(&boot_info, 0x4000, 0x2000, MEM_USABLE));
    assert_false(memmap_add(&boot_info, 0x4000, 0x1000, MEM_USABLE));
    assert_false(memmap_add(&boot_info, 0x3000, 0x2000, MEM_ACPI));
    assert_false(memmap_add(&boot_info, 0x5000, 0x2000, MEM_ACPI));
    assert_false(memmap_add(&boot_info, 0x3000, 0x5000, MEM_ACPI));
    assert_false(memmap_add(&boot_info, ~0ULL - PAGE, 2 * PAGE, MEM_ACPI)); /* wraps */
    assert_int_equal(boot_info.nr_mem, 1);
}

static void a_new_kind_splits_its_range(void **state)
{
    (void)state;
    assert_true(memmap_add(&boot_info, 0x10000, 0x10000, MEM_LOADER));
    assert_true(memmap_set_kind(&boot_info, 0x14000, 0x2000, MEM_FILE));
    range_is(0, 0x10000, 0x4000, MEM_LOADER);
    range_is(1, 0x14000, 0x2000, MEM_FILE);
    range_is(2, 0x16000, 0xa000, MEM_LOADER);
    assert_true(memmap_set_kind(&boot_info, 0x16000, 0x1000, MEM_FILE)); /* joins the first */
    assert_true(memmap_set_kind(&boot_info, 0x10000, 0x1000, MEM_IMAGE));
    assert_int_equal(boot_info.nr_mem, 4);
    range_is(2, 0x14000, 0x3000, MEM_FILE);
    assert_false(memmap_set_kind(&boot_info, 0x1f000, 0x2000, MEM_FILE)); /* beyond the end */
    assert_false(memmap_set_kind(&boot_info, 0x0, 0x1000, MEM_FILE));
    assert_false(memmap_set_kind(&boot_info, 0x100000, 0x1000, MEM_FILE));
    assert_int_equal(boot_info.nr_mem, 4);
}

static void the_top_is_that_of_ram(void **state)
{
    (void)state;
    assert_int_equal(memmap_top(&boot_info), 0);
    assert_true(memmap_add(&boot_info, 0xfd00000000, 0x1000, MEM_RESERVED));
    assert_true(memmap_add(&boot_info, 0xfee00000, 0x1000, MEM_MMIO));
    assert_true(memmap_add(&boot_info, 0x1000, 0x7000, MEM_USABLE));
    assert_int_equal(memmap_top(&boot_info), 0x8000);
}

static void a_full_table_is_refused(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < BOOT_INFO_MAX_MEM; i++)
        assert_true(memmap_add(&boot_info, i * 4 * PAGE, 3 * PAGE, MEM_USABLE));
    assert_false(memmap_add(&boot_info, 3 * PAGE, PAGE, MEM_ACPI));
    assert_false(memmap_set_kind(&boot_info, PAGE, PAGE, MEM_FILE));
    assert_int_equal(boot_info.nr_mem, BOOT_INFO_MAX_MEM);
    range_is(0, 0, 3 * PAGE, MEM_USABLE);
}

/* Against a byte per page: random ranges and changes of kind, and after each step the invariants and the very same
 * contents. */
static void random_steps(void **state)
{
    enum { PAGES = 200, NONE = 0xff };
    uint8_t model[PAGES];

    (void)state;
    srand(1);
    for (int round = 0; round < 200; round++) {
        map_clear(NULL);
        memset(model, NONE, sizeof(model));
        for (int step = 0; step < 100; step++) {
            size_t base = (size_t)rand() % PAGES, size = 1 + (size_t)rand() % 12;
            uint8_t kind = (uint8_t)(rand() % 4), seen[PAGES];

            if (base + size > PAGES)
                continue;
            if (rand() % 2 ? memmap_add(&boot_info, base * PAGE, size * PAGE, kind)
                           : memmap_set_kind(&boot_info, base * PAGE, size * PAGE, kind))
                memset(model + base, kind, size);
            memset(seen, NONE, sizeof(seen));
            for (uint32_t i = 0; i < boot_info.nr_mem; i++) {
                const struct boot_info_mem *mem = &boot_info.mem[i];

                memset(seen + mem->base / PAGE, (int)mem->kind, mem->size / PAGE);
                if (i > 0 && mem[-1].base + mem[-1].size == mem->base)
                    assert_int_not_equal(mem[-1].kind, mem->kind);
                if (i > 0)
                    assert_true(mem[-1].base + mem[-1].size <= mem->base);
            }
            assert_memory_equal(seen, model, sizeof(model));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ranges_are_sorted_and_merged, map_clear),
        cmocka_unit_test_setup(overlaps_are_refused, map_clear),
        cmocka_unit_test_setup(a_new_kind_splits_its_range, map_clear),
        cmocka_unit_test_setup(the_top_is_that_of_ram, map_clear),
        cmocka_unit_test_setup(a_full_table_is_refused, map_clear),
        cmocka_unit_test_setup(random_steps, map_clear),
    };

    return cmocka_run_group_tests_name("memmap", tests, NULL, NULL);
}

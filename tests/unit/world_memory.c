/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory of a test's guest, and the pages of it that are missing. */
#include "tests/unit/world_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sanitizer/asan_interface.h>

#include "host/bits.h"

/* Memory of guests that have gone, for those that come: tests make thousands of worlds, and a page that the build
 * machine's kernel has to give costs more than what a test does with it. Nobody may touch it meanwhile. */
static u8 *spare[8];

u8 *fake_memory_any(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(spare); i++) {
        u8 *memory = spare[i];

        if (!memory)
            continue;
        spare[i] = NULL;
        ASAN_UNPOISON_MEMORY_REGION(memory, MEMORY_BYTES);
        return memory;
    }
    return malloc(MEMORY_BYTES);
}

u8 *fake_memory(void)
{
    return memset(fake_memory_any(), 0, MEMORY_BYTES);
}

void fake_memory_free(u8 *memory)
{
    for (unsigned i = 0; memory && i < ARRAY_SIZE(spare); i++) {
        if (spare[i])
            continue;
        ASAN_POISON_MEMORY_REGION(memory, MEMORY_BYTES);
        spare[i] = memory;
        return;
    }
    free(memory);
}

void fake_vm_free(struct fake_vm *vm)
{
    fake_memory_free(vm->memory);
    vm->memory = NULL;
}

u64 fake_index(gpa_t gpa)
{
    return gpa >= MiB(4) ? FAKE_LOW + (gpa - MiB(4)) / PAGE_SIZE : gpa / PAGE_SIZE;
}

u8 *fake_page(struct fake_vm *vm, gpa_t gpa)
{
    u64 index = fake_index(gpa);

    assert_true(vm->exists && index < FAKE_PAGES && (gpa >= MiB(4) || index < FAKE_LOW));
    return vm->memory + index * PAGE_SIZE;
}

int fake_expect(void *ctx, gpa_t gpa, u64 pages)
{
    struct fake_vm *vm = ctx;

    assert_false(vm->running);
    for (u64 i = fake_index(gpa); i < fake_index(gpa) + pages; i++) {
        vm->nr_missing += !vm->missing[i];
        vm->missing[i] = FAKE_MISSING;
        memset(vm->memory + i * PAGE_SIZE, 0xA5, PAGE_SIZE);
    }
    return vm->world->no_map;
}

/* The source keeps what is missing here, as it was when the guest stood. */
int fake_supply(void *ctx, gpa_t gpa, const void *bytes)
{
    struct fake_vm *vm = ctx, *from = &vm->world->source_vm;
    u64 index = fake_index(gpa);
    u8 *page = vm->memory + index * PAGE_SIZE;

    vm->twice += !vm->missing[index];
    if (!vm->missing[index])
        return -EEXIST;
    if (bytes)
        memcpy(page, bytes, PAGE_SIZE);
    else
        memset(page, 0, PAGE_SIZE);
    assert_true(from->exists && !from->running);
    assert_memory_equal(page, fake_page(from, gpa), PAGE_SIZE);
    vm->missing[index] = FAKE_HERE;
    vm->nr_missing--;
    vm->supplied++;
    return 0;
}

u64 fake_missing(void *vm)
{
    return ((struct fake_vm *)vm)->nr_missing;
}

bool fake_is_missing(void *vm, gpa_t gpa)
{
    return ((struct fake_vm *)vm)->missing[fake_index(gpa)];
}

bool fake_wanted(void *ctx, gpa_t *gpa)
{
    struct fake_vm *vm = ctx;

    for (unsigned i = 0; i < FAKE_PAGES; i++) {
        if (vm->missing[i] != FAKE_WANTED)
            continue;
        vm->missing[i] = FAKE_FETCHED;
        *gpa = i < FAKE_LOW ? i * PAGE_SIZE : MiB(4) + (i - FAKE_LOW) * PAGE_SIZE;
        return true;
    }
    return false;
}

void fake_ask_again(void *ctx)
{
    struct fake_vm *vm = ctx;

    for (unsigned i = 0; i < FAKE_PAGES; i++)
        if (vm->missing[i] == FAKE_FETCHED)
            vm->missing[i] = FAKE_WANTED;
}

bool fake_waits(void *ctx)
{
    const struct fake_vm *vm = ctx;

    for (unsigned i = 0; i < FAKE_PAGES; i++)
        if (vm->missing[i] == FAKE_WANTED || vm->missing[i] == FAKE_FETCHED)
            return true;
    return false;
}

const struct dirty_counters *fake_log_counters(void *vm)
{
    return &((struct fake_vm *)vm)->logged;
}

/* In two parts. Pages are used by writes, and by tests. */
int fake_used(void *ctx, u64 *bitmap)
{
    struct fake_vm *vm = ctx;

    assert_true(vm->exists && vm->running && vm->logging);
    if (vm->no_a_bits)
        return -ENOTSUP;
    if (vm->looks++ % 2 == 0)
        return -EAGAIN;
    for (unsigned i = 0; bitmap && i < ARRAY_SIZE(vm->used); i++)
        bitmap[i] |= vm->used[i];
    memset(vm->used, 0, sizeof(vm->used));
    return 0;
}

u64 fake_ran(void *ctx)
{
    return ((struct fake_vm *)ctx)->world->ran_ns;
}

int fake_throttle(void *ctx, u32 percent, u64 write_limit)
{
    struct fake_vm *vm = ctx;

    vm->throttle = percent;
    vm->write_limit = write_limit;
    vm->written = 0;
    vm->limited = vm->world->now;
    return vm->logging || !write_limit ? 0 : -EINVAL;
}

bool fake_may_write(struct fake_vm *vm, u64 page)
{
    if (!vm->write_limit || vm->dirty[page / 64] & BIT(page % 64))
        return true;
    if (vm->written >= (vm->world->now - vm->limited) * vm->write_limit / 1000000000)
        return false;
    vm->written++;
    return true;
}

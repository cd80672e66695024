/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/world_protect.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/world_memory.h"

#define OWNER_THERE 2000

void world_protect_init(struct world *w, struct world_protect *protect)
{
    world_init(w);
    memset(protect, 0, sizeof(*protect));
    w->protect = protect;
    protect->owner = OWNER_THERE;
    w->writes = 3;
    w->working_set = 300; /* so that what was written twice would be too much for a checkpoint */
    for (unsigned i = 0; i < SNAPSHOTS; i++)
        protect->snapshot[i].memory = fake_memory_any();
}

void world_protect_fini(struct world *w)
{
    struct world_protect *protect = w->protect;

    source_protect(&w->source, PROTECT_ALONE, 0);
    source_cancel(&w->source);
    for (unsigned i = 0; i < 2000 && source_active(&w->source); i++) {
        world_tick(w);
        source_step(&w->source);
    }
    protect->waits = true;
    world_fini(w);
    for (unsigned i = 0; i < SNAPSHOTS; i++)
        fake_memory_free(protect->snapshot[i].memory);
}

struct migrate_settings protect_settings(void)
{
    struct migrate_settings settings = world_settings();

    settings.verify = false;
    settings.policy.hot_last = false;
    settings.protect = true;
    settings.interval = 25;
    settings.limit = 300;
    return settings;
}

void world_checkpoints(struct world *w, u64 number)
{
    for (unsigned steps = 0; w->protect->acknowledged < number; steps++) {
        assert_true(steps < 20000);
        world_step(w);
    }
}

void world_kill_source(struct world *w)
{
    w->source_down = true;
    w->source_vm.running = false;
    for (unsigned i = 0; i < w->pipes; i++)
        w->pipe[i].closed[0] = true;
}

void world_protect_begin(struct world *w, struct world_protect *protect, u64 checkpoints)
{
    struct migrate_settings settings = protect_settings();

    world_protect_init(w, protect);
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_checkpoints(w, checkpoints);
}

void world_steps(struct world *w, unsigned n)
{
    while (n--)
        world_step(w);
}

static struct snapshot *snapshot(const struct world_protect *protect, u64 number)
{
    return (struct snapshot *)&protect->snapshot[number % SNAPSHOTS];
}

static void remember(struct fake_vm *vm, u64 number)
{
    struct snapshot *now = snapshot(vm->world->protect, number);

    assert_false(vm->running);
    now->number = number;
    now->counter = vm->counter;
    memcpy(now->memory, vm->memory, MEMORY_BYTES);
}

static void decide_at_source(struct fake_vm *vm, enum protect_event event)
{
    struct source *s = &vm->world->source;

    if (event == PROTECT_NO_ROOM || event == PROTECT_ABORTED)
        source_protect(s, PROTECT_ALONE, 0);
    if (event == PROTECT_LAST)
        source_protect(s, PROTECT_HAND, 0);
}

int fake_protect_source(void *ctx, enum protect_event event, u64 number)
{
    struct fake_vm *vm = ctx;
    struct world_protect *protect = vm->world->protect;

    protect->source[event]++;
    if (event == PROTECT_STOPPED && protect->unguarded)
        return -EINVAL;
    if (event == PROTECT_STOPPED)
        remember(vm, 0);
    if (event == PROTECT_TAKEN) {
        assert_int_equal(number, ++protect->taken);
        remember(vm, number);
    }
    if (event == PROTECT_CHECKPOINTED || event == PROTECT_LAST) {
        assert_true(number >= protect->acknowledged && number <= protect->whole);
        protect->acknowledged = number;
    }
    if (event == PROTECT_OVER)
        protect->code = number;
    if (!protect->waits)
        decide_at_source(vm, event);
    return 0;
}

void fake_protect_dest(void *ctx, enum protect_event event, u64 number)
{
    struct fake_vm *vm = ctx;
    struct world_protect *protect = vm->world->protect;
    struct dest *dest = &vm->world->dest;

    protect->dest[event]++;
    if (event == PROTECT_CHECKPOINTED) {
        assert_int_equal(number, protect->whole + 1);
        protect->whole = number;
        dest_protect(dest, vm, PROTECT_SAY);
    }
    if (protect->waits)
        return;
    if (event == PROTECT_COMMIT)
        dest_protect(dest, vm, PROTECT_ADOPT);
    if (event == PROTECT_ABORT || event == PROTECT_OWNER_HEARD)
        dest_protect(dest, vm, PROTECT_FREE);
}

void fake_reclaim(void *vm)
{
    (void)vm;
}

void fake_open(void *ctx)
{
    struct fake_vm *vm = ctx;

    assert_false(vm->world->protect);
}

u64 fake_owner(void *ctx)
{
    const struct world *w = ctx;

    return w->protect ? w->protect->owner : OWNER_THERE;
}

bool fake_refuses(struct fake_vm *vm)
{
    struct world *w = vm->world;

    return w->refuse_restore || (w->refuse_in && !--w->refuse_in);
}

/* The source's copy is the judge: it stands still until it is freed. */
void assert_same_guest(const struct fake_vm *vm)
{
    const struct fake_vm *from = &vm->world->source_vm;
    const struct world_protect *protect = vm->world->protect;
    const struct snapshot *is = protect ? snapshot(protect, protect->whole) : NULL;
    const u8 *memory = is ? is->memory : from->memory;

    assert_true(!is || is->number == protect->whole);
    assert_int_equal(vm->counter, is ? is->counter : from->counter);
    for (unsigned i = 0; !vm->world->forgets && i < FAKE_PAGES; i++)
        if (!vm->missing[i])
            assert_memory_equal(vm->memory + i * PAGE_SIZE, memory + i * PAGE_SIZE, PAGE_SIZE);
}

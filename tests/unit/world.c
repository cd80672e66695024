/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "tests/unit/world_cold.h"
#include "tests/unit/world_memory.h"
#include "tests/unit/world_protect.h"

#define STEP_NS 1000000
const u8 world_id[WIRE_ID] = "a guest's name.";

static u64 next_random(struct world *w)
{
    w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return w->random >> 33;
}

/* It starts anew, in cleared memory. */
static void guest_reset(struct fake_vm *vm)
{
    memset(vm->memory, 0, MEMORY_BYTES);
    memset(vm->dirty, 0xFF, FAKE_PAGES / 8);
    vm->counter = 0;
    vm->resets++;
    vm->reset_wanted = false;
}

/* A guest's program: count, and write some bytes into pages of the working set. */
static void guest_run(struct fake_vm *vm)
{
    struct world *w = vm->world;

    if (!vm->running)
        return;
    assert_true(vm->exists);
    if (vm->reset_wanted)
        guest_reset(vm);
    if (vm->steps++ % 100 < vm->throttle)
        return;
    vm->counter++;
    for (unsigned i = 0; i < w->writes; i++) {
        u64 page = next_random(w) % w->working_set;

        if (vm->missing[page]) { /* it waits: this step ends */
            vm->missing[page] = MAX(vm->missing[page], (u8)FAKE_WANTED);
            return;
        }
        if (!fake_may_write(vm, page))
            return;
        memcpy(vm->memory + page * PAGE_SIZE + next_random(w) % 4000, &vm->counter, sizeof(vm->counter));
        if (page + 1 == w->forgets)
            continue;
        vm->logged.by_dbit += vm->logging && !(vm->dirty[page / 64] & BIT(page % 64));
        vm->dirty[page / 64] |= BIT(page % 64);
        vm->used[page / 64] |= BIT(page % 64);
    }
}

static u64 ops_now(void *vm)
{
    return ((struct fake_vm *)vm)->world->now;
}

static int describe(void *vm, struct migrate_description *d)
{
    strcpy(d->head.name, "guest");
    d->head.nr_vcpus = 1;
    d->head.nr_ranges = 2;
    d->range[0] = (struct wire_range){ .gpa = 0, .bytes = FAKE_LOW * PAGE_SIZE };
    d->range[1] = (struct wire_range){ .gpa = MiB(4), .bytes = (FAKE_PAGES - FAKE_LOW) * PAGE_SIZE };
    d->head.nr_cpuid = 1;
    d->cpuid[0] = (struct wire_cpuid){ .leaf = 1, .edx = 0x178BFBFF };
    d->head.nr_devices = 1;
    strcpy(d->device[0].name, "chip");
    return ((struct fake_vm *)vm)->world->no_memory;
}

/* Nobody has accessed every second pair of pages, if they are zeros. */
static bool untouched(struct fake_vm *vm, gpa_t gpa)
{
    return fake_index(gpa) / 2 % 2 && page_is_zero(fake_page(vm, gpa));
}

static const void *source_page(void *ctx, gpa_t gpa)
{
    struct fake_vm *vm = ctx;
    u8 *page = fake_page(vm, gpa);

    vm->world->now += vm->world->page_ns[0];
    if (fake_index(gpa) + 1 != vm->world->overlooked)
        return untouched(vm, gpa) ? NULL : page;
    vm->world->overlooked = 0;
    return NULL;
}

/* Up to seven pages, in its range. */
static u64 alike(void *ctx, gpa_t gpa)
{
    gpa_t at = gpa, end = gpa < MiB(4) ? FAKE_LOW * PAGE_SIZE : MiB(4) + (FAKE_PAGES - FAKE_LOW) * PAGE_SIZE;

    while (at < end && at < gpa + 7 * PAGE_SIZE && untouched(ctx, at) == untouched(ctx, gpa))
        at += PAGE_SIZE;
    return at - gpa;
}

static int log_start(void *ctx)
{
    struct fake_vm *vm = ctx;

    if (vm->logging)
        return -EBUSY;
    memset(vm->dirty, 0, sizeof(vm->dirty));
    vm->logging = true;
    vm->taken = 0;
    return 0;
}

/* In three parts. */
static bool log_stop(void *ctx)
{
    struct fake_vm *vm = ctx;

    assert_true(vm->exists && vm->logging);
    vm->logging = ++vm->parts % 3 != 0;
    return !vm->logging;
}

/* A word at a time. */
static int harvest(void *ctx, u64 *bitmap)
{
    struct fake_vm *vm = ctx;

    assert_true(vm->logging);
    vm->logged.harvested += bits_count(vm->dirty[vm->taken]);
    bitmap[vm->taken] |= vm->dirty[vm->taken];
    vm->dirty[vm->taken] = 0;
    vm->taken = (vm->taken + 1) % ARRAY_SIZE(vm->dirty);
    return vm->taken ? -EAGAIN : 0;
}

/* A reset that was asked for comes first. */
static int pause_vm(void *ctx)
{
    struct fake_vm *vm = ctx;

    vm->running = vm->reset_wanted;
    return vm->reset_wanted ? -EAGAIN : 0;
}

/* What was kept is the guest's. */
static void resume_vm(void *ctx)
{
    struct fake_vm *vm = ctx;

    while (vm->first < vm->end)
        vm->given[vm->first++ % 256]++;
    vm->running = vm->gate_open = !vm->off || !vm->world->stays_off;
    vm->departed = false;
}

static void gate(void *vm)
{
    ((struct fake_vm *)vm)->gate_open = false;
}

/* Two sections: the vcpu and a chip. */
static void section(void *ctx, unsigned index, struct wire_section *s, struct codec *c)
{
    struct fake_vm *vm = ctx;

    assert_false(vm->running);
    if (index > 1) {
        codec_refuse(c, -ENOENT, "there are two sections");
        return;
    }
    vm->saved += !c->restoring;
    strcpy(s->name, index ? "chip" : "vcpu");
    codec_version(c, 1);
    codec_u64(c, index ? &vm->resets : &vm->counter);
}

static void note_epoch_source(void *vm, u64 epoch, bool peer)
{
    struct world *w = ((struct fake_vm *)vm)->world;

    w->epochs_noted++;
    w->noted_standing += !w->source_vm.running && !w->dest_vm.running;
    w->in_doubt_epoch = peer ? epoch : 0;
}

static void stand(void *ctx)
{
    struct fake_vm *vm = ctx;

    vm->running = vm->gate_open = false;
}

static void depart(void *ctx)
{
    struct fake_vm *vm = ctx;

    assert_false(vm->running);
    vm->departed = true;
}

static void announce_source(void *vm)
{
    ((struct fake_vm *)vm)->world->announced++;
}

static void free_vm(void *ctx)
{
    struct fake_vm *vm = ctx;

    assert_true(vm->exists);
    vm->exists = vm->running = false;
    fake_vm_free(vm);
}

/* Its bytes are its number. */
static size_t next_frame(void *ctx, void *bytes, size_t room)
{
    struct fake_vm *vm = ctx;

    assert_true((!vm->exists || vm->departed) && room >= 60);
    if (vm->first == vm->end)
        return 0;
    memset(bytes, (int)(vm->first++ % 256), 60);
    return 60;
}

static int connect_pipe(void *vm, struct transport *transport)
{
    struct world *w = ((struct fake_vm *)vm)->world;
    struct pipe *pipe = &w->pipe[w->pipes];
    struct transport other;

    if (w->link_down || w->dest_down || w->pipes == WORLD_PIPES)
        return -ECONNREFUSED;
    pipe_init(pipe, w->cap, w->piece);
    pipe->now = w->now;
    pipe->delay = w->delay;
    if (w->pipes++ == w->accident) {
        pipe->way[0].cut = w->cut[0];
        pipe->way[1].cut = w->cut[1];
        pipe->way[0].flip = w->flip[0];
        pipe->way[1].flip = w->flip[1];
        pipe->way[0].tape = w->tape;
        pipe->way[0].tape_cap = w->tape_cap;
    }
    *transport = pipe_end(pipe, 0);
    other = pipe_end(pipe, 1);
    return dest_accept(&w->dest, &other, NULL, "peer") ? -ECONNREFUSED : 0;
}

static u64 dest_now(void *ctx)
{
    struct world *w = ctx;

    w->now += w->look_ns;
    return w->now / MAX(w->dest_slow, 1);
}

static enum wire_code check(void *ctx, const struct migrate_description *d, struct wire_accepted *accepted,
                            char reason[WIRE_REASON])
{
    struct world *w = ctx;

    assert_string_equal(d->head.name, "guest");
    *accepted = w->accepted;
    strcpy(reason, "the test says so");
    if (w->full && w->dest_vm.exists && !d->spare)
        return WIRE_E_MEMORY;
    return w->refuse_check;
}

static bool room(void *ctx, const struct migrate_description *d)
{
    struct world *w = ctx;

    (void)d;
    w->freed_parts += w->to_free != 0;
    return !w->to_free || !w->to_free--;
}

static enum wire_code create(void *ctx, const struct migrate_description *d, void **vm, char reason[WIRE_REASON])
{
    struct world *w = ctx;

    (void)d;
    strcpy(reason, "the test says so");
    if (w->refuse_create || w->dest_vm.exists)
        return w->refuse_create ? w->refuse_create : WIRE_E_NAME;
    w->dest_vm = (struct fake_vm){ .world = w, .exists = true, .memory = fake_memory() };
    *vm = &w->dest_vm;
    return WIRE_OK;
}

static u8 *dest_page(void *vm, gpa_t gpa)
{
    ((struct fake_vm *)vm)->world->now += ((struct fake_vm *)vm)->world->page_ns[1];
    return fake_page(vm, gpa);
}

static const void *dest_look(void *vm, gpa_t gpa)
{
    return untouched(vm, gpa) ? NULL : dest_page(vm, gpa);
}

/* The destination also restores, unless the test says that it refuses. */
static void dest_section(void *ctx, unsigned index, struct wire_section *s, struct codec *c)
{
    struct fake_vm *vm = ctx;

    if (c->restoring && strcmp(s->name, "vcpu") != 0 && strcmp(s->name, "chip") != 0)
        codec_refuse(c, -ENOENT, "unknown there");
    if (c->restoring && fake_refuses(vm))
        codec_refuse(c, -EINVAL, "the test says so");
    if (!c->err)
        section(vm, index, s, c);
    if (!codec_restored(c))
        return;
    if (index == 0)
        vm->counter += vm->world->restores_wrong;
    vm->restored++;
}

static enum wire_code ready(void *vm, char reason[WIRE_REASON])
{
    strcpy(reason, "sections are missing");
    return ((struct fake_vm *)vm)->restored == 2 ? WIRE_OK : WIRE_E_STATE; /* for the first time */
}

static void run(void *ctx, u64 paused_ns, u64 arrived, bool files_follow)
{
    struct fake_vm *vm = ctx;

    assert_int_equal(files_follow, vm->world->source.settings.follow);
    assert_true(vm->exists && !vm->running && vm->restored >= 2 && arrived <= dest_now(vm->world));
    assert_same_guest(vm);
    vm->running = vm->gate_open = true;
    vm->paused_ns = paused_ns;
    vm->ran_at = vm->world->now;
}

static void announce(void *vm, u64 epoch)
{
    (void)epoch;
    ((struct fake_vm *)vm)->world->announced++;
}

static bool take_frame(void *ctx, const void *bytes, size_t len)
{
    struct fake_vm *vm = ctx;

    assert_true(vm->running && len >= WIRE_FRAME_MIN && len <= WIRE_FRAME_MAX);
    vm->given[*(const u8 *)bytes]++;
    return true;
}

static void note_epoch_dest(void *ctx, const u8 vm_id[WIRE_ID], u64 epoch, bool running)
{
    const struct world *w = ctx;

    (void)epoch;
    assert_true(!running || w->dest_vm.running || w->stays_off); /* it does not wait for a line of the log */
    assert_memory_equal(vm_id + 1, world_id + 1, WIRE_ID - 1);   /* by the first byte a test may tell VMs apart */
}

static const struct migrate_source_ops source_ops = {
    .now = ops_now,
    .describe = describe,
    .page = source_page,
    .alike = alike,
    .log_start = log_start,
    .log_stop = log_stop,
    .harvest = harvest,
    .used = fake_used,
    .ran = fake_ran,
    .log_counters = fake_log_counters,
    .throttle = fake_throttle,
    .pause = pause_vm,
    .resume = resume_vm,
    .gate = gate,
    .section = section,
    .shut_down = fake_shut_down,
    .definition = fake_definition,
    .image = fake_image,
    .note_epoch = note_epoch_source,
    .stand = stand,
    .depart = depart,
    .leave = free_vm,
    .announce = announce_source,
    .frame = next_frame,
    .connect = connect_pipe,
    .reclaim = fake_reclaim,
    .protect = fake_protect_source,
};

static const struct migrate_dest_ops dest_ops = {
    .now = dest_now,
    .check = check,
    .room = room,
    .create = create,
    .page = dest_page,
    .look = dest_look,
    .ready = ready,
    .open = fake_open,
    .section = dest_section,
    .run = run,
    .definition = fake_definition,
    .defined = fake_defined,
    .start = fake_start,
    .files_here = fake_files_here,
    .announce = announce,
    .frame = take_frame,
    .expect = fake_expect,
    .supply = fake_supply,
    .missing = fake_missing,
    .is_missing = fake_is_missing,
    .wanted = fake_wanted,
    .ask_again = fake_ask_again,
    .waits = fake_waits,
    .protect = fake_protect_dest,
    .owner = fake_owner,
    .note_epoch = note_epoch_dest,
    .free = free_vm,
};

void world_init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->cut[0] = w->cut[1] = w->flip[0] = w->flip[1] = PIPE_NEVER;
    w->cap = 20000;
    w->piece = 7001;
    w->random = 1;
    w->working_set = 50;
    w->now = 1000000000;
    w->source_vm = (struct fake_vm){ .world = w, .exists = true, .running = true, .gate_open = true };
    w->source_vm.memory = fake_memory();
    for (unsigned i = 0; i < FAKE_PAGES; i++)
        if (i % 8 < 2 && i < 320) /* a quarter of the lower part has contents */
            memset(w->source_vm.memory + i * PAGE_SIZE, i | 1, PAGE_SIZE);
    source_init(&w->source, &source_ops, &w->source_vm, world_id, 7, WORLD_OWNER);
    dest_init(&w->dest, &dest_ops, w);
}

void world_fini(struct world *w)
{
    dest_fini(&w->dest);
    for (unsigned i = 0; i < w->pipes; i++)
        pipe_fini(&w->pipe[i]);
    fake_vm_free(&w->source_vm);
    fake_vm_free(&w->dest_vm);
}

void world_tick(struct world *w)
{
    w->now += STEP_NS;
    w->ran_ns += STEP_NS / 100 * w->busy;
    for (unsigned i = 0; i < w->pipes; i++)
        w->pipe[i].now = w->now;
}

/* Who did not come to run here has a reason, and nobody else. */
static void assert_reasons(const struct dest *dest)
{
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        const struct incoming *in = &dest->incoming[i];
        bool ended = in->handoff.state == DEST_ABORTED;

        assert_true(!in->error == !in->reason[0]);
        assert_true(!in->error || ended);
        assert_true(in->error || !ended || in->dry_run);
    }
}

void world_step(struct world *w)
{
    world_tick(w);
    if (!w->source_down)
        source_step(&w->source);
    assert_false(w->source_vm.running && w->dest_vm.running);
    if (!w->dest_down)
        dest_step(&w->dest);
    assert_false(w->source_vm.running && w->dest_vm.running);
    /* Somebody has what is missing. */
    assert_true(!w->dest_vm.exists || !w->dest_vm.running || !w->dest_vm.nr_missing || w->source_vm.departed ||
                w->source.handoff.state == SOURCE_IN_DOUBT || w->taken);
    /* In nobody's hands only while a move holds it, or it is superseded: the source then has its memory. */
    if (!w->source_vm.running && !w->dest_vm.running && !w->dest_down && !w->source_down && !w->source_vm.off &&
        !w->dest_vm.off)
        assert_true(w->source_vm.exists && (source_active(&w->source) || w->source.handoff.state == SOURCE_SUPERSEDED));
    assert_reasons(&w->dest);
    guest_run(&w->source_vm);
    guest_run(&w->dest_vm);
}

void world_run(struct world *w, unsigned steps)
{
    while (source_active(&w->source)) {
        assert_true(steps-- > 0);
        world_step(w);
    }
    /* Let the destination take the last words. */
    for (unsigned i = 0; i < 20; i++)
        world_step(w);
}

struct migrate_settings world_settings(void)
{
    return (struct migrate_settings){
        .policy = { .downtime_limit = 1, .max_rounds = 10, .postcopy_rounds = 1, .hot_last = true },
        .verify = true,
    };
}

void world_crash_dest(struct world *w)
{
    if (w->dest_vm.exists)
        w->dest_vm.running = false;
    dest_fini(&w->dest);
    if (w->dest_vm.exists)
        free_vm(&w->dest_vm);
    dest_init(&w->dest, &dest_ops, w);
    /* Whatever was on its way is lost with it. */
    for (unsigned i = 0; i < w->pipes; i++)
        w->pipe[i].broken = true;
}

unsigned world_frame(struct world *w)
{
    struct fake_vm *vm = &w->source_vm;
    unsigned number = vm->end++ % 256;

    if (vm->running)
        vm->given[vm->first++ % 256]++;
    return number;
}

bool world_reset(struct world *w)
{
    w->source_vm.reset_wanted |= w->source_vm.running;
    return w->source_vm.running;
}

int world_where(const struct world *w)
{
    return w->source_vm.running ? 1 : w->dest_vm.running ? 2 : 0;
}

void world_to_commit(struct world *w)
{
    struct migrate_settings settings = world_settings();

    world_init(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    for (;;) {
        w->now += 1000000;
        source_step(&w->source);
        if (w->source.stage == STAGE_COMMIT)
            return; /* COMMIT is on its way */
        dest_step(&w->dest);
    }
}

static struct wire_claim claim_of(u64 epoch, u64 owner, u64 age_ms)
{
    struct wire_claim claim = { .kind = WIRE_CLAIM_OWNS, .epoch = epoch, .owner = owner, .age_ms = age_ms };

    memcpy(claim.vm_id, world_id, WIRE_ID);
    claim_seal(&claim);
    return claim;
}

void world_claim(struct world *w, u64 epoch, u64 owner)
{
    struct wire_claim claim = claim_of(epoch, owner, 0);

    dest_heard(&w->dest, &claim);
}

void world_claim_to_source(struct world *w, u64 epoch, u64 owner, u64 age_ms)
{
    struct wire_claim claim = claim_of(epoch, owner, age_ms);

    source_heard(&w->source, &claim, WORLD_AGE_MS);
}

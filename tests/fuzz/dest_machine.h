/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine of a destination, for the fuzzer of peers: GUESTS places for guests of PAGES pages, and what was said of
 * each attempt to bring one. A guest runs only if COMMIT or an operator said so, once, and never after ABORTED.
 */
#pragma once

#include <errno.h>

#include "host/log.h"
#include "guest/load/images.h"
#include "migrate/dest.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_kept.h"

#define IDS 2
#define PAGES 4
#define SIZE (PAGES * (u64)WIRE_PAGE)
#define GUESTS 4 /* that there is memory for */

static const u64 epochs[] = { 2, 3, 4, 9, 9 + (1ULL << 31), 9 + EPOCH_STEP, EPOCH_MAX - 1, EPOCH_MAX, EPOCH_MAX + 1 };

struct guest {
    bool exists, running, ready, asked; /* asked: for a page that is missing */
    u64 missing;                        /* pages, as bits */
    u8 id;
    u64 epoch, value; /* of its vcpu */
    u8 memory[PAGES][WIRE_PAGE];
};

/* What was said of an attempt: by peers or the operator, and by the destination. */
struct said {
    bool run, prepared, aborted;
};

static struct guest guests[GUESTS];
static struct said said[IDS][ARRAY_SIZE(epochs)];
static u64 now;

void log_line(enum log_level level, const char *prefix, const char *format, ...)
{
    (void)level, (void)prefix, (void)format;
}

static u64 ops_now(void *ctx)
{
    (void)ctx;
    return now;
}

static struct said *of(u8 id, u64 epoch)
{
    static struct said other;

    for (unsigned i = 0; i < ARRAY_SIZE(epochs); i++)
        if (epochs[i] == epoch)
            return &said[id][i];
    other = (struct said){ .run = true }; /* of the good moves at the end */
    return &other;
}

static struct guest *guest_of(u8 id)
{
    for (unsigned i = 0; i < GUESTS; i++)
        if (guests[i].exists && guests[i].id == id)
            return &guests[i];
    return NULL;
}

static struct guest *guest_place(void)
{
    for (unsigned i = 0; i < GUESTS; i++)
        if (!guests[i].exists)
            return &guests[i];
    return NULL;
}

static enum wire_code ops_check(void *ctx, const struct migrate_description *d, struct wire_accepted *accepted,
                                char reason[WIRE_REASON])
{
    (void)ctx, (void)accepted, (void)reason;
    REQUIRE(memchr(d->head.name, 0, sizeof(d->head.name)) && d->vm_id[0] < IDS);
    if (guest_of(d->vm_id[0]))
        return WIRE_E_NAME;
    if (d->head.memory != SIZE || d->head.nr_ranges != 1 || d->range[0].gpa)
        return WIRE_E_CPU;
    return guest_place() || d->spare ? WIRE_OK : WIRE_E_MEMORY;
}

static bool ops_room(void *ctx, const struct migrate_description *d)
{
    (void)ctx, (void)d;
    return true;
}

static enum wire_code ops_create(void *ctx, const struct migrate_description *d, void **vm, char reason[WIRE_REASON])
{
    struct guest *guest = guest_place();

    (void)ctx, (void)reason;
    REQUIRE(guest && !guest_of(d->vm_id[0]));
    *guest = (struct guest){ .exists = true, .id = d->vm_id[0], .epoch = d->epoch };
    *vm = guest;
    return WIRE_OK;
}

static u8 *ops_page(void *vm, gpa_t gpa)
{
    struct guest *guest = vm;

    REQUIRE(guest->exists && !guest->running && gpa < SIZE);
    return guest->memory[gpa / WIRE_PAGE];
}

static const void *ops_look(void *vm, gpa_t gpa)
{
    return ops_page(vm, gpa);
}

static enum wire_code ops_ready(void *vm, char reason[WIRE_REASON])
{
    (void)reason;
    return ((struct guest *)vm)->ready ? WIRE_OK : WIRE_E_STATE;
}

static void ops_section(void *vm, unsigned index, struct wire_section *section, struct codec *c)
{
    struct guest *guest = vm;

    (void)index;
    REQUIRE(guest->exists && (!c->restoring || !guest->running));
    if (!c->restoring)
        strcpy(section->name, "vcpu");
    codec_u64(c, &guest->value);
    guest->ready |= codec_restored(c);
}

static void ops_run(void *vm, u64 paused_ns, u64 arrived, bool files_follow)
{
    struct guest *guest = vm;
    const struct said *attempt = of(guest->id, guest->epoch);

    (void)paused_ns, (void)arrived, (void)files_follow;
    REQUIRE(guest->exists && guest->ready && !guest->running && attempt->run && !attempt->aborted);
    guest->running = true;
}

static bool ops_start(void *vm, bool on, u64 down_ns)
{
    (void)down_ns;
    ops_run(vm, 0, 0, false);
    return on;
}

static bool ops_files_here(void *vm)
{
    REQUIRE(((const struct guest *)vm)->exists);
    return false;
}

void image_locate(struct guest_image *image, const u8 *vm_id)
{
    image->kernel.data = kept_find(&image->kernel, vm_id);
}

static void ops_announce(void *vm, u64 epoch)
{
    const struct guest *guest = vm;

    REQUIRE(guest->exists && guest->running && guest->epoch == epoch);
}

static int ops_expect(void *vm, gpa_t gpa, u64 pages)
{
    struct guest *guest = vm;

    REQUIRE(guest->exists && !guest->running && pages && gpa + pages * WIRE_PAGE <= SIZE);
    for (u64 i = gpa / WIRE_PAGE; i < gpa / WIRE_PAGE + pages; i++)
        guest->missing |= 1ULL << i;
    return 0;
}

static int ops_supply(void *vm, gpa_t gpa, const void *bytes)
{
    struct guest *guest = vm;
    u64 bit = 1ULL << (gpa / WIRE_PAGE);

    (void)bytes;
    REQUIRE(guest->exists && guest->running && gpa < SIZE);
    if (!(guest->missing & bit))
        return -EEXIST;
    guest->missing &= ~bit;
    return 0;
}

static u64 ops_missing(void *vm)
{
    return ((struct guest *)vm)->missing;
}

static bool ops_is_missing(void *vm, gpa_t gpa)
{
    REQUIRE(gpa < SIZE);
    return ((struct guest *)vm)->missing >> (gpa / WIRE_PAGE) & 1;
}

static bool ops_wanted(void *vm, gpa_t *gpa)
{
    struct guest *guest = vm;

    REQUIRE(guest->exists && guest->running);
    if (!guest->missing || guest->asked)
        return false;
    guest->asked = true;
    *gpa = (u64)__builtin_ctzll(guest->missing) * WIRE_PAGE;
    return true;
}

static void ops_ask_again(void *vm)
{
    ((struct guest *)vm)->asked = false;
}

static bool ops_waits(void *vm)
{
    const struct guest *guest = vm;

    REQUIRE(guest->exists && guest->running);
    return guest->missing && guest->asked;
}

static bool ops_frame(void *vm, const void *bytes, size_t len)
{
    const struct guest *guest = vm;

    REQUIRE(guest->exists && guest->running && bytes && len >= WIRE_FRAME_MIN && len <= WIRE_FRAME_MAX);
    return true;
}

static void ops_note_epoch(void *ctx, const u8 vm_id[WIRE_ID], u64 epoch, bool running)
{
    (void)ctx, (void)vm_id, (void)epoch, (void)running;
}

static void ops_open(void *vm)
{
    REQUIRE(((const struct guest *)vm)->exists);
}

/* Who decides about copies that are kept up to date; NULL: nobody. */
static void (*decide)(struct guest *guest, enum protect_event event);

static void ops_protect(void *vm, enum protect_event event, u64 number)
{
    struct guest *guest = vm;

    (void)number;
    REQUIRE(guest->exists);
    if (decide)
        decide(guest, event);
}

static u64 ops_owner(void *ctx)
{
    (void)ctx;
    return 9;
}

static void ops_free(void *vm)
{
    struct guest *guest = vm;

    REQUIRE(guest->exists && !guest->running);
    guest->exists = false;
}

static const struct migrate_dest_ops ops = {
    .now = ops_now,
    .check = ops_check,
    .room = ops_room,
    .create = ops_create,
    .page = ops_page,
    .look = ops_look,
    .ready = ops_ready,
    .open = ops_open,
    .section = ops_section,
    .run = ops_run,
    .definition = ops_section,
    .defined = ops_ready,
    .start = ops_start,
    .files_here = ops_files_here,
    .announce = ops_announce,
    .frame = ops_frame,
    .expect = ops_expect,
    .supply = ops_supply,
    .missing = ops_missing,
    .is_missing = ops_is_missing,
    .wanted = ops_wanted,
    .ask_again = ops_ask_again,
    .waits = ops_waits,
    .protect = ops_protect,
    .owner = ops_owner,
    .note_epoch = ops_note_epoch,
    .free = ops_free,
};

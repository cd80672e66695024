/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "migrate"
#include "migrate/vm_source.h"

#include <errno.h>

#include "dirty/vm_dirty.h"
#include "host/asm.h"
#include "host/clock.h"
#include "dev/platform.h"
#include "host/log.h"
#include "hv/vm.h"
#include "stream/tcp_transport.h"
#include "migrate/vm_describe.h"
#include "guest/load/vm_report.h"
#include "migrate/vm_state.h"
#include "owners/announcer.h"
#include "migrate/move.h"
#include "migrate/totals.h"

struct list vm_sources = { &vm_sources, &vm_sources };

struct vm_source *vm_source_find(const struct vm *vm)
{
    list_each (struct vm_source, from, &vm_sources) {
        if (from->vm == vm)
            return from;
    }
    return NULL;
}

static u64 now(void *ctx)
{
    (void)ctx;
    return clock_ns();
}

static int describe(void *ctx, struct migrate_description *description)
{
    struct vm_source *from = ctx;

    from->image = from->vm->image;
    vm_describe(from->vm, description);
    return 0;
}

static const void *page(void *ctx, gpa_t gpa)
{
    struct vm_source *from = ctx;

    return ram_window_page(&from->window, &from->vm->mem, gpa);
}

static u64 alike(void *ctx, gpa_t gpa)
{
    const struct ram_window *window = &((struct vm_source *)ctx)->window;

    return window->len - (gpa - window->gpa);
}

static int log_start(void *ctx)
{
    struct vm_source *from = ctx;

    from->window.id = 0; /* what was untouched may be no more; so in harvest and freeze, too */
    if (from->log == DIRTY_OFF)
        from->log = vm_dirty_best(from->vm);
    from->move->log = from->log;
    from->used_page = 0;
    return vm_dirty_start(from->vm, from->log, from->split);
}

static bool log_stop(void *ctx)
{
    return vm_dirty_stop_part(((struct vm_source *)ctx)->vm);
}

static int harvest(void *ctx, u64 *bitmap)
{
    struct vm *vm = ((struct vm_source *)ctx)->vm;

    ((struct vm_source *)ctx)->window.id = 0;
    if (!vm_harvest_part(vm, bitmap))
        return -EAGAIN;
    while (!vm_harvest_ready(vm)) /* as long as a kick takes to other CPUs */
        cpu_relax();
    return 0;
}

static int used(void *ctx, u64 *bitmap)
{
    struct vm_source *from = ctx;

    return vm_used_part(from->vm, &from->used_page, bitmap);
}

static u64 ran(void *ctx)
{
    return vm_ran(((struct vm_source *)ctx)->vm);
}

static const struct dirty_counters *log_counters(void *ctx)
{
    return &((struct vm_source *)ctx)->vm->mem.dirty.count;
}

/* Only a log by faults tells who writes when it happens: D bits and PML tell it afterwards. */
static int throttle(void *ctx, u32 percent, u64 write_limit)
{
    struct vm_source *from = ctx;
    struct vm *vm = from->vm;
    int err = 0;

    if (write_limit && vm->mem.dirty.producer != DIRTY_WRITE_PROTECT) {
        err = vm_dirty_change(vm, DIRTY_WRITE_PROTECT, DIRTY_SPLIT_LAZY);
        from->move->log = DIRTY_WRITE_PROTECT;
    }
    if (err)
        return err;
    vm_throttle(vm, percent, write_limit);
    if (percent)
        pr_info("%s: it writes faster than the link carries: kept from running %u %% of the time", vm->name, percent);
    if (write_limit)
        pr_info("%s: it writes faster than the link carries: held to %lu new pages a second", vm->name, write_limit);
    return 0;
}

static void freeze(struct vm_source *from)
{
    vm_freeze(from->vm);
    platform_freeze(from->vm);
    from->frozen = true;
    from->window.id = 0;
}

static void resume(void *ctx)
{
    struct vm_source *from = ctx;

    if (from->frozen) {
        forward_end(&from->forward);
        from->frozen = false;
        platform_thaw(from->vm);
        vm_thaw(from->vm);
    }
    if (from->cold.on)
        vm_cold_resume(from->vm, &from->cold);
}

void vm_source_idle(struct vm_source *from)
{
    if (from->source.handoff.state == SOURCE_OWNER)
        vm_cold_poll(from->vm, &from->cold);
}

/* A reset that the guest has asked for comes first: that wish is not part of the state that moves. */
static int pause(void *ctx)
{
    struct vm_source *from = ctx;

    freeze(from);
    if (__atomic_load_n(&from->vm->reset_wanted, __ATOMIC_ACQUIRE)) {
        resume(from);
        return -EAGAIN;
    }
    return vm_alive(from->vm) ? 0 : -EINVAL;
}

static void gate(void *ctx)
{
    virtio_net_leave(&platform_of(((struct vm_source *)ctx)->vm)->net);
}

static void section(void *ctx, unsigned index, struct wire_section *section, struct codec *c)
{
    vm_state_section(((struct vm_source *)ctx)->vm, index, section, c);
}

static int shut_down(void *ctx)
{
    struct vm_source *from = ctx;

    return vm_cold_shut_down(from->vm, &from->cold);
}

static void definition(void *ctx, unsigned index, struct wire_section *section, struct codec *c)
{
    vm_cold_section(((struct vm_source *)ctx)->vm, index, section, c);
}

static const struct guest_image *image(void *ctx)
{
    return &((struct vm_source *)ctx)->image;
}

static void note_epoch(void *ctx, u64 epoch, bool peer)
{
    struct vm *vm = ((struct vm_source *)ctx)->vm;

    if (!peer)
        vm->identity.epoch = epoch;
    pr_info("%s: epoch %lu %s", vm->name, epoch, peer ? "is the destination's, or may be" : "is ours");
}

static void stand(void *ctx)
{
    struct vm_source *from = ctx;

    if (!from->frozen)
        freeze(from);
    virtio_net_close(&platform_of(from->vm)->net);
    announcer_stop(from->vm);
    from->totals->superseded++;
}

/* The port's frames go after the guest. */
static void depart(void *ctx)
{
    struct vm_source *from = ctx;

    gate(from);
    if (!from->forward.on)
        forward_begin(&from->forward, &platform_of(from->vm)->net.port);
}

/* The copy here is done with, and frames for the guest follow it. migration.c destroys the VM, in its turn for this
 * source: this function may be called outside that turn, by a command. */
static void leave(void *ctx)
{
    struct vm_source *from = ctx;

    if (!from->frozen)
        freeze(from);
    depart(from);
    from->gone = true;
}

static size_t frame(void *ctx, void *bytes, size_t room)
{
    return forward_take(&((struct vm_source *)ctx)->forward, bytes, (u32)room);
}

static void announce(void *ctx)
{
    announcer_start(((struct vm_source *)ctx)->vm);
}

static void reclaim(void *ctx)
{
    tcp_stream_abort_lingering(((struct vm_source *)ctx)->vm);
}

static int protect(void *ctx, enum protect_event event, u64 number)
{
    return protect_tell_source(((struct vm_source *)ctx)->vm, event, number);
}

static int connect(void *ctx, struct transport *transport)
{
    struct vm_source *from = ctx;
    int err;

    if (from->file.ops) {
        *transport = from->file;
        from->file.ops = NULL;
        return 0;
    }
    err = tcp_transport_dial(&from->to, &from->connecting, transport);
    if (err)
        return err;
    tcp_stream_lend(transport->ctx, from->vm);
    move_connected(from->move, clock_ns());
    return 0;
}

void vm_source_end(struct vm_source *from)
{
    if (from->connecting)
        tcp_stream_abort(from->connecting);
    from->connecting = NULL;
    if (from->file.ops)
        from->file.ops->close(&from->file);
    from->file.ops = NULL;
}

const struct migrate_source_ops vm_source_ops = {
    .now = now,
    .describe = describe,
    .page = page,
    .alike = alike,
    .log_start = log_start,
    .log_stop = log_stop,
    .harvest = harvest,
    .used = used,
    .ran = ran,
    .log_counters = log_counters,
    .throttle = throttle,
    .pause = pause,
    .resume = resume,
    .gate = gate,
    .section = section,
    .shut_down = shut_down,
    .definition = definition,
    .image = image,
    .note_epoch = note_epoch,
    .stand = stand,
    .depart = depart,
    .leave = leave,
    .frame = frame,
    .announce = announce,
    .connect = connect,
    .reclaim = reclaim,
    .protect = protect,
};

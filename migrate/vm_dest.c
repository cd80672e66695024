/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "migrate"
#include "migrate/vm_dest.h"

#include <stdio.h>
#include <string.h>

#include "host/clock.h"
#include "dev/platform.h"
#include "host/log.h"
#include "hv/page_wait.h"
#include "hv/vm.h"
#include "stream/ram_window.h"
#include "guest/load/images.h"
#include "migrate/vm_cold.h"
#include "migrate/vm_describe.h"
#include "migrate/vm_source.h"
#include "migrate/vm_state.h"
#include "mm/guest_missing.h"
#include "net/heard.h"
#include "owners/allowed.h"
#include "owners/announcer.h"
#include "owners/claims.h"
#include "owners/witness.h"

static u64 now(void *ctx)
{
    (void)ctx;
    return clock_ns();
}

struct dest vm_dest;

static struct ram_window window; /* into the guest whose pages came last */
static const struct vm_dest_watcher *watcher;

void vm_dest_watch(const struct vm_dest_watcher *migration)
{
    watcher = migration;
}

/* A VM of that name, or this one, that is on its way from here. Though it has ended, its destination may start it.
 * NULL: there is none. */
static const struct vm_source *leaving(const struct migrate_description *d)
{
    list_each (const struct vm_source, from, &vm_sources) {
        if (from->vm && source_active(&from->source) &&
            (!memcmp(from->vm->identity.id, d->vm_id, VM_ID) || !strcmp(from->vm->name, d->head.name)))
            return from;
    }
    return NULL;
}

/* What is here is no guest that runs: what is it, and what would be right? */
static void say_leaving(const struct vm_source *from, const struct migrate_description *d, char reason[WIRE_REASON])
{
    bool same = !memcmp(from->vm->identity.id, d->vm_id, VM_ID);
    char to[TCP_ADDRESS_TEXT];

    tcp_address_text(&from->to, to);
    if (from->source.handoff.state == SOURCE_SERVING)
        snprintf(reason, WIRE_REASON, "it runs at %s, on memory that is here: end it, or use %s", to,
                 same ? "new-identity" : "another name");
    else
        snprintf(reason, WIRE_REASON, "%s is on its way from there, or in doubt", from->vm->name);
}

/* A copy of it that stands here may have to give way: who decides is told, and the source tries again. */
static void tell_superseded(const struct migrate_description *d)
{
    list_each (const struct vm_source, from, &vm_sources) {
        if (from->vm && from->source.handoff.state == SOURCE_SUPERSEDED &&
            !memcmp(from->vm->identity.id, d->vm_id, VM_ID)) {
            protect_tell_dest(from->vm, PROTECT_RESERVED, d->epoch);
            return;
        }
    }
}

static enum wire_code judge(const struct migrate_description *d, struct config_vm *config, struct vm_identity *identity,
                            char reason[WIRE_REASON])
{
    enum wire_code code = vm_describe_check(d, config, identity, reason);
    const struct vm_source *from = leaving(d);
    bool departed = from &&
                    (from->source.handoff.state == SOURCE_SERVING || from->source.handoff.state == SOURCE_IN_DOUBT);

    if (!from || (code && (code != WIRE_E_NAME || !departed)))
        return code;
    say_leaving(from, d, reason);
    return WIRE_E_NAME;
}

static enum wire_code check(void *ctx, const struct migrate_description *d, struct wire_accepted *accepted,
                            char reason[WIRE_REASON])
{
    bool guarded = d->head.flags & WIRE_GUARDED, asks = d->head.flags & WIRE_WITNESS;
    struct vm_identity identity;
    struct config_vm config;
    enum wire_code code;

    (void)ctx;
    if (guarded && asks != witness_configured()) {
        snprintf(reason, WIRE_REASON, "only one of the two machines has a witness, expected [witness] at both");
        return WIRE_E_FEATURE;
    }
    if (!allowed_guest(d->from, d->vm_id, d->head.name, d->held, d->moves, reason))
        return WIRE_E_RIGHTS;
    code = judge(d, &config, &identity, reason);
    if (code && guarded)
        tell_superseded(d);
    if (!code)
        vm_describe_warn(d, accepted);
    return code;
}

static bool room(void *ctx, const struct migrate_description *description)
{
    (void)ctx;
    return vm_describe_fits(description) || vm_reap() == ~0ULL;
}

/* The VM's time stands still and its port is shut until the VM is known to be complete; the port of one that starts
 * anew, until it is started (dev/virtio_net.c). */
static enum wire_code create(void *ctx, const struct migrate_description *description, void **handle,
                             char reason[WIRE_REASON])
{
    struct vm_identity identity;
    struct config_vm config;
    enum wire_code code = judge(description, &config, &identity, reason);
    struct vm *vm;

    (void)ctx;
    if (code)
        return code;
    vm = vm_create(&config, &identity);
    if (!vm) {
        snprintf(reason, WIRE_REASON, "no memory for %lu MiB and %u vcpus", config.memory >> 20, config.vcpus);
        return WIRE_E_MEMORY;
    }
    if (!(description->head.flags & WIRE_COLD)) { /* who starts anew here needs no more than a place */
        platform_freeze(vm);
        virtio_net_close(&platform_of(vm)->net);
        if (!vm_state_rehearse(vm, reason)) {
            vm_destroy(vm);
            return WIRE_E_INTERNAL;
        }
    }
    pr_info("%s: reserved %lu MiB and %u vcpus, epoch %lu", vm->name, config.memory >> 20, config.vcpus,
            identity.epoch);
    *handle = vm;
    return WIRE_OK;
}

static u8 *page(void *handle, gpa_t gpa)
{
    return ram_window_place(&window, &((struct vm *)handle)->mem, gpa);
}

static const void *look(void *handle, gpa_t gpa)
{
    return guest_mem_untouched(&((struct vm *)handle)->mem, gpa) ? NULL : page(handle, gpa);
}

static void section(void *handle, unsigned index, struct wire_section *section, struct codec *c)
{
    vm_state_section(handle, index, section, c);
    if (codec_restored(c))
        ((struct vm *)handle)->incoming.sections = index + 1;
}

static enum wire_code ready(void *handle, char reason[WIRE_REASON])
{
    struct vm *vm = handle;

    if (vm->incoming.sections != vm_section_count(vm)) {
        snprintf(reason, WIRE_REASON, "%u sections of state came, it has %u", vm->incoming.sections,
                 vm_section_count(vm));
        return WIRE_E_STATE;
    }
    return vm_describe_recheck(vm, reason);
}

/* The guest stands still at the source by now: frames for it that come here are kept for it. */
static void open(void *handle)
{
    struct vm *vm = handle;

    watcher->returns(vm);
    virtio_net_open(&platform_of(vm)->net);
}

/* See docs/migration.md "What moves with it". */
static void tell_of_tsc(const struct vm *vm)
{
    if (guest_tsc_strays(&vm->tsc))
        pr_warn(
            "%s: it counts on a TSC of %lu kHz, which has %lu here and can't be scaled: only its paravirtual clock and "
            "its timers are right",
            vm->name, vm->tsc.khz, guest_tsc_khz_here(&vm->tsc));
    else if (vm->tsc.ratio != GUEST_TSC_UNSCALED)
        pr_info("%s: its TSC of %lu kHz is scaled from %lu", vm->name, vm->tsc.khz, vm->tsc.host_khz);
}

static void tell_of_image(const struct vm *vm)
{
    if (!guest_image_here(&vm->image))
        pr_warn("%s: what it starts from is not among this machine's files (images of [migration]): a reset will "
                "power it off",
                vm->name);
}

static void run(void *handle, u64 paused_ns, u64 arrived, bool files_follow)
{
    struct vm *vm = handle;

    platform_arrive(vm, paused_ns + (clock_ns() - arrived));
    vm_arrive(vm);
    tell_of_tsc(vm);
    if (!files_follow)
        tell_of_image(vm);
    watcher->arrived(vm, paused_ns);
}

static bool start(void *handle, bool on, u64 down_ns)
{
    watcher->arrived(handle, down_ns);
    return vm_cold_start(handle, on);
}

static bool files_here(void *handle)
{
    struct vm *vm = handle;
    bool before = guest_image_here(&vm->image);

    image_locate(&vm->image, vm->identity.id);
    if (guest_image_here(&vm->image) && !before)
        pr_info("%s: what it starts from is here", vm->name);
    return guest_image_here(&vm->image);
}

static void announce(void *handle, u64 epoch)
{
    struct vm *vm = handle;

    pr_info("%s: announced under epoch %lu", vm->name, epoch);
    announcer_start(vm);
}

static int expect(void *handle, gpa_t gpa, u64 pages)
{
    return guest_mem_expect(&((struct vm *)handle)->mem, gpa, pages);
}

static int supply(void *handle, gpa_t gpa, const void *bytes)
{
    struct vm *vm = handle;

    return vm_page_supply(vm, guest_mem_page(&vm->mem, gpa), bytes);
}

static u64 missing(void *handle)
{
    return guest_mem_missing_count(&((struct vm *)handle)->mem);
}

static bool is_missing(void *handle, gpa_t gpa)
{
    struct guest_mem *mem = &((struct vm *)handle)->mem;

    return guest_mem_missing(mem, guest_mem_page(mem, gpa));
}

static bool wanted(void *handle, gpa_t *gpa)
{
    struct guest_mem *mem = &((struct vm *)handle)->mem;
    u64 page;

    if (!guest_mem_wanted(mem, &page))
        return false;
    *gpa = guest_mem_gpa(mem, page);
    return true;
}

static void ask_again(void *handle)
{
    guest_mem_ask_again(&((struct vm *)handle)->mem);
}

static bool waits(void *handle)
{
    const struct guest_mem *mem = &((struct vm *)handle)->mem;

    return __atomic_load_n(&mem->requests, __ATOMIC_RELAXED) != mem->answered;
}

static bool frame(void *handle, const void *bytes, size_t len)
{
    return port_deliver_late(&platform_of(handle)->net.port, bytes, (u32)len);
}

static u64 owner(void *ctx)
{
    (void)ctx;
    return claims_owner();
}

static void note_epoch(void *ctx, const u8 vm_id[WIRE_ID], u64 epoch, bool running)
{
    (void)ctx;
    pr_info("VM %02x%02x%02x%02x epoch %lu: %s", vm_id[0], vm_id[1], vm_id[2], vm_id[3], epoch,
            running ? "its owner is this machine" : "it does not run here, and will not");
}

static void release(void *handle)
{
    struct vm *vm = handle;

    announcer_stop(vm);
    if (vm_alive(vm))
        vm_stop(vm, VM_OFF, "another machine owns it since");
    vm_destroy(vm);
}

const struct migrate_dest_ops vm_dest_ops = {
    .now = now,
    .check = check,
    .room = room,
    .create = create,
    .page = page,
    .look = look,
    .ready = ready,
    .open = open,
    .section = section,
    .run = run,
    .definition = vm_cold_section,
    .defined = vm_cold_defined,
    .start = start,
    .files_here = files_here,
    .announce = announce,
    .frame = frame,
    .expect = expect,
    .supply = supply,
    .missing = missing,
    .is_missing = is_missing,
    .wanted = wanted,
    .ask_again = ask_again,
    .waits = waits,
    .protect = protect_tell_dest,
    .owner = owner,
    .note_epoch = note_epoch,
    .free = release,
};

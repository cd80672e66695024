/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The destination makes the VM as in a move; meanwhile all other hypervisors are asked who has it, so that it is
 * refused early, and again when the copy is whole, for much may have happened since. The copy runs when nobody has said
 * that the VM is there. While it is asked about the second time, it is prepared, and this machine says so: of two
 * machines that restore one guest, at least one hears the other.
 */
#define LOG_PREFIX "restore"
#include "save/restoring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/platform.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/host_work.h"
#include "host/list.h"
#include "host/log.h"
#include "tls/random.h"
#include "hv/vm.h"
#include "owners/asking.h"
#include "owners/claims.h"
#include "migrate/migration.h"
#include "net/mac.h"
#include "save/image_reader.h"
#include "save/saving.h"

#define LOCAL_MAC 0x52      /* first byte of a MAC that is administered locally, as those of guests are */
#define PEER "image"        /* where the copy comes from, as query-migrate shows it */
#define POLL_NS 10000000ULL /* frames wake the host loop; this is for time-outs, and for what the destination says */

struct restoring {
    struct list node;
    struct restore_request request;
    struct image_reader reader;
    bool accepted; /* the destination has the reader's transport */
    bool asked;    /* who has the guest, since the copy is whole */
    u64 began;     /* ns */
    void (*over)(void *ctx, const struct restored *restored);
    void *ctx;
};

static struct list all = { &all, &all };
static unsigned count;

/* --- Who it will be ---------------------------------------------------------------------------------------------- */

/* The highest epoch that this machine knows of the VM, that of the image included. */
static u64 known_epoch(const struct image_reader *reader)
{
    const struct wire_header *header = &reader->header;
    u64 known = MAX(header->epoch, dest_known_epoch(migration_dest(), header->vm_id, header->epoch));

    list_each (const struct vm, vm, vm_list()) {
        if (!memcmp(vm->identity.id, header->vm_id, VM_ID))
            known = MAX(known, MAX(vm->identity.epoch, vm->elsewhere));
    }
    return known;
}

/* The VM comes back under an epoch above all that are known of it, as after an operator's force: two machines that
 * restore it do not come to the same one. */
static u64 new_epoch(const struct image_reader *reader)
{
    return epoch_forced(known_epoch(reader), EPOCH_FORCE + claims_owner() % EPOCH_FORCE);
}

/* A clone has never been anywhere. */
static struct image_identity clone_identity(void)
{
    struct image_identity identity = { .epoch = 1, .clone = true };

    random_fill(identity.vm_id, WIRE_ID);
    random_fill(identity.mac, WIRE_MAC);
    identity.mac[0] = LOCAL_MAC;
    memcpy(identity.taken_mac, identity.mac, WIRE_MAC);
    return identity;
}

static struct image_identity same_identity(const struct image_reader *reader)
{
    struct image_identity identity = { .epoch = new_epoch(reader) };

    memcpy(identity.vm_id, reader->header.vm_id, WIRE_ID);
    memcpy(identity.mac, reader->reserve.mac, WIRE_MAC);
    memcpy(identity.taken_mac, reader->reserve.taken_mac, WIRE_MAC);
    return identity;
}

static struct image_identity identity_of(const struct restoring *restoring)
{
    const struct restore_request *request = &restoring->request;
    const struct image_reader *reader = &restoring->reader;
    struct image_identity identity = request->new_identity ? clone_identity() : same_identity(reader);
    const char *name = request->name[0] ? request->name : reader->reserve.name;

    snprintf(identity.name, sizeof(identity.name), "%s", name);
    return identity;
}

static void begin(struct restoring *restoring)
{
    struct image_reader *reader = &restoring->reader;
    struct image_identity identity = identity_of(restoring);
    struct transport transport = image_reader_transport(reader);

    if (!restoring->request.new_identity && reader->header.epoch > EPOCH_MAX - EPOCH_STEP) {
        image_reader_fail(reader, WIRE_E_REPLAY, "the epoch of the image is above all that is credible");
        return;
    }
    image_reader_begin(reader, &identity);
    restoring->accepted = true;
    migration_take(&transport, NULL, PEER);
}

/* --- Whether it may run ------------------------------------------------------------------------------------------ */

/* The copy here; NULL: it is gone. */
static struct vm *copy_of(const struct restoring *restoring)
{
    const struct image_identity *identity = &restoring->reader.identity;

    list_each (struct vm, vm, vm_list()) {
        if (vm->status == VM_INCOMING && vm->identity.epoch == identity->epoch &&
            !memcmp(vm->identity.id, identity->vm_id, VM_ID))
            return vm;
    }
    return NULL;
}

/* The rest of the image comes while the others are asked. */
static void accepted(struct restoring *restoring)
{
    struct vm *vm = copy_of(restoring);

    if (!vm || !asking_begin(vm))
        return;
    vm->incoming.clone = restoring->request.new_identity;
    image_reader_pass(&restoring->reader);
}

/* The guest is told that it was restored, for it may have gone on from that moment before, or elsewhere. */
static void renew(struct vm *vm)
{
    spin_lock(&vm->device_lock);
    acpi_pm_new_generation(&platform_of(vm)->pm);
    spin_unlock(&vm->device_lock);
}

/* The copy is whole. */
static void decide(struct restoring *restoring, struct vm *vm)
{
    if (!restoring->asked) {
        restoring->asked = asking_begin(vm);
        return;
    }
    if (asking_about(vm))
        return;
    vm->incoming.asked = false;
    vm->incoming.paused |= restoring->request.paused;
    renew(vm);
    image_reader_commit(&restoring->reader);
}

/* A copy whose guest turns out to be elsewhere is given up at once. */
static void heed(struct restoring *restoring)
{
    struct image_reader *reader = &restoring->reader;
    struct vm *vm = copy_of(restoring);
    char reason[WIRE_REASON];

    if (!vm)
        return;
    snprintf(reason, sizeof(reason), "%.80s; end it there, or use new-identity", vm->reason);
    if (vm->elsewhere)
        image_reader_fail(reader, WIRE_E_NAME, reason);
    else if (reader->status == READER_PREPARED)
        decide(restoring, vm);
}

/* What helps if a VM that is here is in the way, by its name or because it is this one; "": nothing of that. */
static const char *way_out(const struct image_reader *reader)
{
    if (reader->error != WIRE_E_NAME || strstr(reader->reason, "new-identity"))
        return "";
    list_each (const struct vm, vm, vm_list()) {
        if (!memcmp(vm->identity.id, reader->identity.vm_id, VM_ID))
            return "; or use new-identity and --name";
        if (!strcmp(vm->name, reader->identity.name))
            return "; --name gives it another one";
    }
    return "";
}

/* --- From its begin to its end ---------------------------------------------------------------------------------- */

void restored_note(const struct restored *restored, char *text, size_t room)
{
    text[0] = '\0';
    if (restored->clone)
        snprintf(text, room,
                 "its driver has the old MAC still, from which nothing leaves: in Linux, first give it "
                 "another IP address, then `ip link set eth0 address %s`",
                 mac_text(restored->mac).text);
}

static void tell(struct restoring *restoring)
{
    const struct image_reader *reader = &restoring->reader;
    struct restored restored = { .done = reader->status == READER_RUNNING,
                                 .epoch = reader->identity.epoch,
                                 .clone = restoring->request.new_identity };
    char note[200];

    memcpy(restored.name, reader->identity.name, WIRE_NAME);
    memcpy(restored.vm_id, reader->identity.vm_id, WIRE_ID);
    memcpy(restored.mac, reader->identity.mac, WIRE_MAC);
    snprintf(restored.reason, sizeof(restored.reason), "%s%s", reader->reason, way_out(reader));
    image_counters()->restored += restored.done;
    image_counters()->failed += !restored.done;
    if (restored.done)
        pr_info("%s: restored, epoch %lu", restored.name, restored.epoch);
    else
        pr_warn("%s%srefused: %s", restored.name, restored.name[0] ? ": " : "an image is ", restored.reason);
    restored_note(&restored, note, sizeof(note));
    if (restored.done && note[0])
        pr_warn("%s: %s", restored.name, note);
    restoring->over(restoring->ctx, &restored);
    restoring->over = NULL;
}

/* Returns whether it got on. */
static bool step(struct restoring *restoring)
{
    struct image_reader *reader = &restoring->reader;
    enum image_reader_status before = reader->status;

    image_reader_step(reader);
    if (reader->status == READER_OPENING && clock_ns() - restoring->began > RESTORING_OPEN_MS * NS_PER_MS)
        image_reader_fail(reader, WIRE_E_TIMEOUT, "nothing of the image has come in time");
    if (reader->status == READER_OPENED)
        begin(restoring);
    if (reader->status == READER_ACCEPTED)
        accepted(restoring);
    if (reader->status == READER_PASSING || reader->status == READER_PREPARED)
        heed(restoring);
    if (reader->status >= READER_RUNNING && restoring->over)
        tell(restoring);
    if (restoring->over || (restoring->accepted && !reader->hung_up))
        return reader->status != before;
    count--;
    list_del(&restoring->node);
    image_reader_fini(reader);
    free(restoring);
    return true;
}

static u64 poll(void)
{
    bool more = false;

    list_each_safe (struct restoring, restoring, &all)
        more |= step(restoring);
    if (list_empty(&all))
        return ~0ULL;
    return more ? rdtsc() : rdtsc() + clock_ns_to_ticks(POLL_NS);
}

int restoring_begin(const struct restore_request *request, const struct transport *file,
                    void (*over)(void *ctx, const struct restored *restored), void *ctx)
{
    struct restoring *restoring;
    static bool polled;

    if (count == RESTORING_MAX)
        return -EBUSY;
    restoring = calloc(1, sizeof(*restoring));
    if (!restoring || image_reader_init(&restoring->reader, file)) {
        free(restoring);
        return -ENOMEM;
    }
    restoring->request = *request;
    restoring->began = clock_ns();
    restoring->over = over;
    restoring->ctx = ctx;
    list_add_tail(&all, &restoring->node);
    count++;
    if (!polled)
        host_work_add(poll);
    polled = true;
    return 0;
}

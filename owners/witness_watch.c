/* SPDX-License-Identifier: BSD-2-Clause */
/* Each member is asked about one guest after the other, then there is a pause. Without guests it is asked for the
 * beginning of their keys, which nobody sets. */
#include "owners/witness_watch.h"

#include <stdio.h>
#include <string.h>

#include "host/asm.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/host_work.h"
#include "host/list.h"
#include "owners/witness.h"

#define PAUSE_NS (2 * NS_PER_S)
#define RECORDS (2 * CONFIG_MAX_VMS) /* guests of the configuration, and such that came */
#define PREFIX "godwit/vm/"

/* The watch over one member. */
struct watch {
    struct witness_request *request; /* NULL: none was to be had yet */
    unsigned turn;                   /* the place of the guest that is asked about in the list of VMs */
    u8 id[VM_ID];                    /* that guest; all zero: none */
    bool asking;
    u64 next; /* clock_ns */
};

static struct watch watches[CONFIG_WITNESSES];
static struct witness_record records[RECORDS];
static const u8 nobody[VM_ID];

void witness_key(const u8 id[VM_ID], char key[ETCD_KEY])
{
    size_t at = (size_t)snprintf(key, ETCD_KEY, PREFIX);

    for (unsigned i = 0; i < VM_ID; i++)
        at += (size_t)snprintf(key + at, ETCD_KEY - at, "%02x", id[i]);
}

const struct witness_record *witness_watch_record(const u8 id[VM_ID])
{
    for (unsigned i = 0; i < RECORDS; i++)
        if (records[i].heard && !memcmp(records[i].id, id, VM_ID))
            return &records[i];
    return NULL;
}

/* The guest's own place, else the one that was heard of least lately. */
static struct witness_record *place_for(const u8 id[VM_ID])
{
    struct witness_record *place = records;

    for (unsigned i = 0; i < RECORDS; i++) {
        if (!memcmp(records[i].id, id, VM_ID))
            return &records[i];
        if (records[i].heard < place->heard)
            place = &records[i];
    }
    return place;
}

static void note(const u8 id[VM_ID], const struct witness_outcome *outcome)
{
    struct witness_record *record = place_for(id);

    *record = (struct witness_record){ .heard = clock_ns(), .present = outcome->present };
    memcpy(record->id, id, VM_ID);
    memcpy(record->value, outcome->value, ETCD_VALUE);
}

/* The guest at that place of the list; NULL behind the last. */
static const struct vm *guest_at(unsigned turn)
{
    list_each (const struct vm, vm, vm_list())
        if (turn-- == 0)
            return vm;
    return NULL;
}

static void ask(struct watch *watch)
{
    const struct vm *vm = guest_at(watch->turn);
    char key[ETCD_KEY] = PREFIX;

    memcpy(watch->id, vm ? vm->identity.id : nobody, VM_ID);
    if (vm)
        witness_key(vm->identity.id, key);
    watch->asking = true;
    witness_read_at(watch->request, (unsigned)(watch - watches), key);
}

static void take_answer(struct watch *watch)
{
    const struct witness_outcome *outcome = witness_outcome(watch->request);

    if (outcome->result == WITNESS_ASKED)
        return;
    if (outcome->result == WITNESS_READ && memcmp(watch->id, nobody, VM_ID) != 0)
        note(watch->id, outcome);
    watch->asking = false;
    watch->turn++;
    if (outcome->result == WITNESS_READ && guest_at(watch->turn))
        return;
    watch->turn = 0;
    watch->next = clock_ns() + PAUSE_NS;
}

/* Host work. */
static u64 watch_poll(void)
{
    u64 wake = ~0ULL, now = clock_ns();

    for (unsigned i = 0; witness_member(i); i++) {
        struct watch *watch = &watches[i];

        if (!watch->request)
            watch->request = witness_open();
        if (watch->asking)
            take_answer(watch);
        if (!watch->asking && watch->request && now >= watch->next) {
            ask(watch);
            take_answer(watch); /* without a route it is there at once */
        }
        if (!watch->asking)
            wake = MIN(wake, watch->next);
    }
    return wake == ~0ULL ? wake : rdtsc() + clock_ns_to_ticks(wake - MIN(wake, now));
}

void witness_watch_start(void)
{
    if (witness_configured())
        host_work_add(watch_poll);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/protect_tests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "host/bits.h"
#include "protect/protection.h"
#include "protect/starting.h"

struct protection *p;

/* Guests that wait are not these tests' matter. */
u64 starting_poll(void)
{
    return ~0ULL;
}

void starting_init(void)
{
}

/* So many ms pass, in steps of 10. */
void pass(unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 10, rig.now += 10 * MS) {
        if (!rig.silent)
            rig_beat();
        rig.poll();
    }
}

bool was_ordered(enum protect_order order)
{
    bool was = rig.ordered & BIT(order);

    rig.ordered &= ~BIT(order);
    return was;
}

void reset(bool with_witness)
{
    static u8 id;

    one_vm_make();
    memset(vm.identity.id, ++id, VM_ID);
    snprintf(vm.name, sizeof(vm.name), "web");
    vm.identity.epoch = 7;
    rig.witness = false;
    rig.poll(); /* forgets the guest before */
    rig.witness = rig.reachable = with_witness;
    rig.late = rig.resets = rig.doubt = rig.announces = rig.silent = rig.has_end = rig.active = rig.holds = false;
    rig.deed[0] = '\0';
    rig.ordered = rig.starts = rig.swaps = rig.beats = rig.dropped = 0;
    rig.held = rig.claimed = 0;
    rig.refuses = rig.cancelled = rig.puts = rig.reserved = rig.unable = false;
    rig.no_room = 0;
    rig.limit_ms = 300;
    rig.move.request.protect = false;
}

/* A guest that is protected here. */
void protect(void)
{
    const char *reason = "";

    assert_int_equal(protection_want(&vm, &peer, 25, &reason), 0);
    pass(50);
    p = protection_of(&vm);
    assert_int_equal(rig.starts, 1);
    assert_int_equal(protection_state(&vm), PROTECTION_SYNCING);
    assert_int_equal(rig.watcher->source(&vm, PROTECT_STOPPED, E), 0);
    assert_true(rig.holds);
    rig.watcher->source(&vm, PROTECT_PREPARED, E);
    pass(20);
    assert_int_equal(protection_state(&vm), PROTECTION_PROTECTED);
}

void checkpoint(u64 number)
{
    rig.info.taken = number;
    rig.watcher->source(&vm, PROTECT_TAKEN, number);
    rig.info.number = number;
    rig.watcher->source(&vm, PROTECT_CHECKPOINTED, number);
}

/* A copy that is prepared here. */
void stand_by(void)
{
    static bool named; /* every second primary is known by a key of its own */

    named = !named;
    vm.status = VM_INCOMING;
    rig.has_end = true;
    rig.info = (struct protect_info){ .epoch = E, .other = OTHER, .limit_ms = 300, .interval_ms = 40, .linked = true };
    rig.info.peer = named ? "beta@192.0.2.11" : "192.0.2.11";
    rig.watcher->dest(&vm, PROTECT_STANDBY, E);
    p = protection_of(&vm);
    assert_true(protection_is_secondary(p));
    snprintf(rig.deed, sizeof(rig.deed), "1 owner " OTHER_TEXT " secondary " ME_TEXT " epoch 8");
}

/* As the configuration says: at the machine of the two that is not this one. */
int protect_begin(void **state)
{
    static struct config config = {
        .net = { .present = 1 },
        .migration = { .port = 4900 },
        .nr_vms = 1,
        .vm = { { .name = "web", .protect = { { { 192, 0, 2, 10 }, 0, 4900 }, { { 192, 0, 2, 11 }, 0, 4900 } } } }
    };

    (void)state;
    one_vm_make();
    memset(vm.identity.id, 0xFF, VM_ID);
    snprintf(vm.name, sizeof(vm.name), "web");
    protection_init(&config);
    p = protection_of(&vm);
    return p && p->wanted && p->peer.bytes[3] == 11 && p->interval == PROTECTION_INTERVAL ? 0 : -1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tests/unit/fake_keys.c */
/* sources: protect/starting.c protect/protected.c protect/guarding.c protect/guard.c protect/deed.c protect/notary.c */
/* sources: protect/failovers.c protect/heartbeat.c stream/record.c stream/crc32c.c dev/codec.c config/netaddr.c */
/* sources: tests/unit/one_vm.c tests/unit/protect_rig.c tests/unit/stubs.c */
/* Where there is a witness no guest starts before its deed allows that. The machines that the deed names answer as the
 * test says, by their addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guest/load/power.h"
#include "host/bits.h"
#include "net/tcp_stream.h"
#include "owners/allowed.h"
#include "owners/asking.h"
#include "owners/claims.h"
#include "owners/peer_query.h"
#include "protect/deed.h"
#include "protect/starting.h"
#include "stream/tcp_transport.h"
#include "tests/unit/protect_rig.h"

#define HOSTS 16

/* The machines, by the last byte of their addresses. */
static struct host {
    bool up, claims; /* it answers, and says that it has the guest */
    unsigned asked;
} hosts[HOSTS];

static const struct asking_judge *judge;
static unsigned powered, refuses_power;

void asking_judged_by(const struct asking_judge *of_guests)
{
    judge = of_guests;
}

int guest_power_on(struct vm *on, char *reason, size_t room)
{
    assert_true(on == &vm && !vm.elsewhere);
    if (refuses_power) {
        snprintf(reason, room, "no memory");
        return -1;
    }
    vm.status = VM_RUNNING;
    powered++;
    return 0;
}

void vm_stop(struct vm *stopped, enum vm_status status, const char *format, ...)
{
    (void)format;
    stopped->status = status;
}

struct wire_claim claims_question(const struct vm *about)
{
    return (struct wire_claim){ .kind = WIRE_CLAIM_ASKS, .epoch = about->identity.epoch };
}

void allowed_take(const struct wire_claim *claim, const char *where)
{
    (void)claim;
    assert_non_null(strstr(where, "192.0.2."));
}

void tcp_address_text(const struct tcp_address *address, char text[TCP_ADDRESS_TEXT])
{
    snprintf(text, TCP_ADDRESS_TEXT, "192.0.2.%u:%u", address->bytes[3], address->port);
}

int tcp_transport_dial(const struct tcp_address *to, struct tcp_stream **connecting, struct transport *transport)
{
    (void)connecting;
    transport->ctx = &hosts[to->bytes[3]];
    return hosts[to->bytes[3]].up ? 0 : -1;
}

void tcp_stream_abort(struct tcp_stream *stream)
{
    (void)stream;
}

void peer_query_start(struct peer_query *query, const struct peer_query_ops *ops, void *ctx,
                      const struct wire_claim *questions, unsigned count)
{
    assert_true(count == 1 && questions[0].kind == WIRE_CLAIM_ASKS);
    *query = (struct peer_query){ .ops = ops, .ctx = ctx, .status = PEER_ASKED };
}

bool peer_query_step(struct peer_query *query)
{
    static const struct wire_claim has = { .kind = WIRE_CLAIM_HOLDS, .epoch = 3 };
    struct transport transport;
    struct host *host;

    if (query->ops->connect(query->ctx, &transport))
        return false;
    host = transport.ctx;
    host->asked++;
    if (host->claims)
        query->ops->heard(query->ctx, &has);
    query->status = PEER_ANSWERED;
    return false;
}

void peer_query_end(struct peer_query *query)
{
    if (query->status == PEER_ASKED)
        query->status = PEER_SILENT;
}

/* --- Tests -------------------------------------------------------------------------------------------------------- */

/* A guest of that epoch, which has not run, or has ended; this machine is 192.0.2.10, and 11 and 12 answer. */
static void wants_to_start(enum vm_status status, u64 epoch, const char *deed, bool came)
{
    static u32 id;

    one_vm_make();
    starting_poll(); /* forgets the guest before */
    vm.id = ++id;
    vm.status = status;
    vm.identity.epoch = epoch;
    memset(vm.identity.id, (u8)id, VM_ID);
    snprintf(rig.deed, sizeof(rig.deed), "%s", deed);
    rig.witness = rig.reachable = true;
    rig.late = false;
    rig.swaps = powered = refuses_power = 0;
    memset(hosts, 0, sizeof(hosts));
    hosts[11].up = hosts[12].up = true;
    assert_false(judge->may_start(&vm, came));
    assert_true(vm_ended(&vm) && vm.elsewhere && judge->waits(&vm));
}

static void pass(unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 10, rig.now += 10 * MS)
        starting_poll();
}

static void assert_started(u64 epoch)
{
    unsigned swaps = rig.swaps;
    char deed[DEED_MAX];

    snprintf(deed, sizeof(deed), "1 owner " ME_TEXT " secondary none epoch %lu", (unsigned long)epoch);
    assert_string_equal(rig.deed, deed);
    assert_int_equal(powered, 1);
    assert_int_equal(vm.identity.epoch, epoch);
    assert_int_equal(vm.elsewhere, 0);
    assert_false(judge->waits(&vm));
    pass(2000);
    assert_int_equal(powered, 1);
    assert_int_equal(rig.swaps, swaps);
}

static int begin(void **state)
{
    (void)state;
    starting_init();
    return judge ? 0 : -1;
}

/* At the boot, `autostart` being ask or yes (CREATED), or by a command (it has ended). */
static void test_deed_first(void **state)
{
    static const enum vm_status statuses[] = { VM_CREATED, VM_OFF };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(statuses); i++) {
        wants_to_start(statuses[i], 1, "", false);
        rig.reachable = false;
        pass(3000);
        assert_int_equal(powered, 0);
        assert_string_equal(vm.reason, "nobody answers");
        rig.reachable = true;
        pass(1200);
        assert_started(1);
    }
    rig.witness = false;
    assert_true(judge->may_start(&vm, false));
}

/* Each machine that the deed names must have said that it has nothing. */
static void test_named_machines(void **state)
{
    (void)state;
    wants_to_start(VM_CREATED, 1, "1 owner " OTHER_TEXT " secondary 192.0.2.12:4900 000000000000000c epoch 4", false);
    hosts[12].up = false;
    pass(1500);
    assert_string_equal(vm.reason, "192.0.2.12:4900, which the witness names, does not answer");
    rig.stranger = true;
    pass(2000);
    assert_string_equal(vm.reason, "192.0.2.12:4900, which the witness names, is no peer in this host's keyring");
    rig.stranger = false;
    assert_int_equal(vm.elsewhere, 4); /* force takes an epoch above that */
    hosts[12].up = hosts[11].claims = true;
    pass(3000);
    assert_string_equal(vm.reason, "192.0.2.11:4900, which the witness names, has it, or a copy of it");
    assert_int_equal(rig.swaps, 0);
    hosts[11].claims = false;
    pass(1200);
    assert_started(5);
}

/* The machine at an address is another one than that which the deed names there: that one does not run any more. So it
 * is of this machine's own address, whoever had it; and of two machines that have exchanged theirs. */
static void test_addresses_change_hands(void **state)
{
    (void)state;
    wants_to_start(VM_CREATED, 1, "1 owner 192.0.2.10:4900 00000000000000ee secondary none epoch 4", false);
    pass(100);
    assert_started(5);
    wants_to_start(VM_CREATED, 1, "1 owner 192.0.2.10:5000 00000000000000ee secondary " OTHER_TEXT " epoch 4", false);
    pass(100);
    assert_int_equal(hosts[11].asked, 1);
    assert_started(5);
    /* This machine was at 13: it asks there as of any machine, and nobody answers. */
    wants_to_start(VM_CREATED, 1, "1 owner 192.0.2.13:4900 00000000000000ee secondary none epoch 4", false);
    pass(3000);
    assert_int_equal(powered, 0);
}

/* A guest that a move has made this machine's starts at once, also if the deed still names the machine that it comes
 * from; but not if the deed has been another's since, until that one says that it has nothing. */
static void test_comes_cold(void **state)
{
    (void)state;
    wants_to_start(VM_CREATED, 7, "1 owner " OTHER_TEXT " secondary none epoch 6", true);
    hosts[11].up = false;
    pass(100);
    assert_started(7);
    assert_int_equal(hosts[11].asked, 0);
    wants_to_start(VM_CREATED, 7, "1 owner " OTHER_TEXT " secondary none epoch 7", true);
    hosts[11].claims = true;
    pass(1500);
    assert_int_equal(powered, 0);
    assert_int_equal(rig.swaps, 0);
    hosts[11].claims = false;
    pass(1200);
    assert_started(8);
}

/* Who has sent a swap does not say that it has nothing. */
static void test_says_so(void **state)
{
    (void)state;
    wants_to_start(VM_CREATED, 1, "", false);
    rig.late = true; /* it is done, and no answer comes */
    assert_false(judge->starts(&vm));
    pass(50);
    assert_true(judge->starts(&vm));
    assert_int_equal(powered, 0);
}

/* It can't be started: that is said, and not tried for ever. As many may wait as there are. */
static void test_not_to_be_started(void **state)
{
    (void)state;
    wants_to_start(VM_OFF, 1, "", false);
    refuses_power = 1;
    pass(100);
    assert_string_equal(vm.reason, "no memory");
    assert_int_equal(vm.elsewhere, 0);
    for (unsigned i = 0; i < 2 * CONFIG_MAX_VMS; i++) {
        vm.id++;
        assert_false(judge->may_start(&vm, false));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deed_first),
        cmocka_unit_test(test_named_machines),
        cmocka_unit_test(test_addresses_change_hands),
        cmocka_unit_test(test_comes_cold),
        cmocka_unit_test(test_says_so),
        cmocka_unit_test(test_not_to_be_started),
    };

    return cmocka_run_group_tests(tests, begin, NULL);
}

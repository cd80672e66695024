/* SPDX-License-Identifier: BSD-2-Clause */
/* The watch over the members of a witness: whom it asks, when, and what it keeps (owners/witness_watch.h). */
/* sources: owners/witness_watch.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/clock.h"
#include "host/host_work.h"
#include "owners/witness.h"
#include "owners/witness_watch.h"

#define MEMBERS 2
#define GUESTS 20 /* more than are kept */
#define SECOND 1000000000ULL

struct witness_request {
    struct witness_outcome outcome;
    char key[ETCD_KEY];
    unsigned asked;
};

static struct witness_request requests[MEMBERS];
static unsigned opened;
static u64 now = SECOND;
static u64 (*watch_work)(void);
static struct vm vms[GUESTS];
static struct list list = { &list, &list };

u64 clock_ns(void)
{
    return now;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

void host_work_add(u64 (*fn)(void))
{
    watch_work = fn;
}

struct list *vm_list(void)
{
    return &list;
}

bool witness_configured(void)
{
    return true;
}

const struct witness_member *witness_member(unsigned index)
{
    static const struct witness_member member;

    return index < MEMBERS ? &member : NULL;
}

struct witness_request *witness_open(void)
{
    return &requests[opened++];
}

void witness_read_at(struct witness_request *request, unsigned member, const char *key)
{
    assert_ptr_equal(request, &requests[member]);
    assert_int_not_equal(request->outcome.result, WITNESS_ASKED);
    request->outcome = (struct witness_outcome){ .result = WITNESS_ASKED };
    snprintf(request->key, sizeof(request->key), "%s", key);
    request->asked++;
}

const struct witness_outcome *witness_outcome(const struct witness_request *request)
{
    return &request->outcome;
}

static void answer(unsigned member, const char *value)
{
    requests[member].outcome = (struct witness_outcome){ .result = WITNESS_READ, .present = value };
    if (value)
        snprintf(requests[member].outcome.value, ETCD_VALUE, "%s", value);
    watch_work();
}

static void add_guest(unsigned number)
{
    vms[number].identity.id[0] = (u8)(number + 1);
    list_add_tail(&list, &vms[number].node);
}

static int group_setup(void **state)
{
    (void)state;
    witness_watch_start();
    return 0;
}

/* Without guests each member is asked for something all the same, and then left alone for two seconds. */
static void without_guests(void **state)
{
    (void)state;
    assert_int_equal(watch_work(), ~0ULL); /* it waits for answers */
    assert_string_equal(requests[0].key, "godwit/vm/");
    assert_int_equal(requests[1].asked, 1);
    answer(0, NULL);
    requests[1].outcome.result = WITNESS_UNREACHABLE;
    assert_true(watch_work() != ~0ULL);
    assert_null(witness_watch_record(vms[0].identity.id));
    now += 2 * SECOND - 1;
    watch_work();
    assert_int_equal(requests[0].asked + requests[1].asked, 2);
    now++;
    watch_work();
    assert_int_equal(requests[0].asked + requests[1].asked, 4);
    answer(0, NULL);
    answer(1, NULL);
}

/* One guest after the other, each member by itself; a member that fails begins anew after the pause. */
static void two_guests(void **state)
{
    const struct witness_record *record;

    (void)state;
    add_guest(0);
    add_guest(1);
    now += 2 * SECOND;
    watch_work();
    assert_string_equal(requests[0].key, "godwit/vm/01000000000000000000000000000000");
    answer(0, "1 owner a");
    record = witness_watch_record(vms[0].identity.id);
    assert_non_null(record);
    assert_true(record->present && record->heard == now);
    assert_string_equal(record->value, "1 owner a");
    assert_string_equal(requests[0].key, "godwit/vm/02000000000000000000000000000000");
    assert_null(witness_watch_record(vms[1].identity.id));
    answer(0, NULL);
    assert_false(witness_watch_record(vms[1].identity.id)->present);
    assert_int_equal(requests[0].outcome.result, WITNESS_READ); /* the pause */

    requests[1].outcome.result = WITNESS_UNREACHABLE;
    watch_work();
    assert_string_equal(witness_watch_record(vms[0].identity.id)->value, "1 owner a");
    now += 2 * SECOND;
    watch_work();
    assert_string_equal(requests[1].key, "godwit/vm/01000000000000000000000000000000");
    answer(1, "2 owner b");
    assert_string_equal(witness_watch_record(vms[0].identity.id)->value, "2 owner b");
    answer(1, NULL);
    answer(0, "2 owner b");
    answer(0, NULL);
}

/* Of more guests than there are places, those that were heard of last are kept. */
static void many_guests(void **state)
{
    unsigned kept = 0;

    (void)state;
    for (unsigned i = 2; i < GUESTS; i++)
        add_guest(i);
    now += 2 * SECOND;
    watch_work();
    for (unsigned i = 0; i < GUESTS; i++) {
        now++;
        answer(0, "x");
    }
    for (unsigned i = 0; i < GUESTS; i++)
        kept += witness_watch_record(vms[i].identity.id) != NULL;
    assert_int_equal(kept, 2 * CONFIG_MAX_VMS);
    assert_non_null(witness_watch_record(vms[GUESTS - 1].identity.id));
    assert_null(witness_watch_record(vms[0].identity.id));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_guests),
        cmocka_unit_test(two_guests),
        cmocka_unit_test(many_guests),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: owners/allowed.c tls/rights.c config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: tests/unit/stubs.c */
/* A peer that may bring some guests reaches no others by calling them otherwise. */
#include "owners/allowed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/vm.h"
#include "owners/claims.h"

#define BETA "beta@192.0.2.11:50000"
#define GAMMA "gamma@192.0.2.12:50000"
#define GONE "delta@192.0.2.13:50000"
#define ANYBODY "192.0.2.13:50000"

static struct rights_table table;
static struct list vms;
static struct vm db, web;
static unsigned taken, heeded, answered;

struct list *vm_list(void)
{
    return &vms;
}

/* Of a claim as of a guest, the first byte of the name is that of the MAC. */
bool claims_are_of(const struct wire_claim *claim, const struct vm *vm)
{
    return !memcmp(vm->identity.id, claim->vm_id, WIRE_ID) || claim->mac[0] == vm->name[0];
}

void claims_take(const struct wire_claim *claim, const char *where)
{
    (void)claim, (void)where;
    taken++;
}

unsigned claims_answer(const struct wire_claim *question, bool heeds, struct wire_claim answers[WIRE_ANSWERS])
{
    (void)question, (void)answers;
    answered++;
    heeded += heeds;
    return 1;
}

/* Here are db and web-1; beta may bring what is called web-..., gamma anything. */
static int begin(void **state)
{
    char beta[] = "beta 192.0.2.11", allow[] = "web*", gamma[] = "gamma 192.0.2.12";

    (void)state;
    table = (struct rights_table){ 0 };
    rights_use(&table);
    assert_null(rights_line(&table, "peer", beta));
    assert_null(rights_line(&table, "allow", allow));
    assert_null(rights_line(&table, "peer", gamma));
    db = (struct vm){ .name = "db", .identity.id = "the id of db" };
    web = (struct vm){ .name = "web-1", .identity.id = "the id of web" };
    list_init(&vms);
    list_add_tail(&vms, &web.node);
    list_add_tail(&vms, &db.node);
    taken = heeded = answered = 0;
    return 0;
}

static bool may(const char *peer, const char *name, const char *vm_id, char words[RIGHTS_WORDS])
{
    u8 id[WIRE_ID] = { 0 };

    memcpy(id, vm_id, strlen(vm_id));
    words[0] = '\0';
    return allowed_guest(peer, id, name, 0, 1, words);
}

static void test_what_it_brings(void **state)
{
    char words[RIGHTS_WORDS];

    (void)state;
    assert_true(may(BETA, "web-2", "a new id", words));
    assert_true(may(BETA, "web-2", "the id of web", words));
    assert_false(may(BETA, "web-2", "the id of db", words));
    assert_string_equal(words, "it is db here, which beta may not bring: see allow");
    assert_false(may(BETA, "db", "a new id", words));
    assert_string_equal(words, "beta may not bring a guest of this name here: see allow");
    db.status = VM_OFF;
    assert_false(may(BETA, "web-2", "the id of db", words));
    assert_true(may(GAMMA, "web-2", "the id of db", words));
    assert_false(may(GONE, "web-2", "a new id", words));
    assert_false(may(ANYBODY, "web-2", "a new id", words));
    table.count = 0;
    assert_true(may(ANYBODY, "web-2", "the id of db", words));
}

static struct wire_claim claim_of(const char *vm_id, char mac)
{
    struct wire_claim claim = { .mac = { (u8)mac } };

    memcpy(claim.vm_id, vm_id, strlen(vm_id));
    return claim;
}

static void test_what_it_says(void **state)
{
    const struct wire_claim of_db = claim_of("the id of db", 0), with_its_mac = claim_of("a new id", 'd'),
                            of_web = claim_of("the id of web", 'w'), of_none = claim_of("a new id", 0);

    (void)state;
    allowed_take(&of_db, "192.0.2.11");
    allowed_take(&with_its_mac, "192.0.2.11");
    assert_int_equal(taken, 0);
    allowed_take(&of_web, "192.0.2.11");
    allowed_take(&of_none, "192.0.2.11");
    assert_int_equal(taken, 2);
    allowed_take(&of_db, "192.0.2.12");
    allowed_take(&of_db, "192.0.2.13");
    assert_int_equal(taken, 4);
}

/* It is told who has the guest, whatever it asks. */
static void test_what_it_asks(void **state)
{
    const struct wire_claim of_db = claim_of("the id of db", 0), with_its_mac = claim_of("a new id", 'd'),
                            of_web = claim_of("the id of web", 'w');
    struct wire_claim answers[WIRE_ANSWERS];

    (void)state;
    assert_int_equal(allowed_answer(BETA, &of_db, answers), 1);
    assert_int_equal(allowed_answer(BETA, &with_its_mac, answers), 1);
    assert_int_equal(heeded, 0);
    allowed_answer(BETA, &of_web, answers);
    allowed_answer(GAMMA, &of_db, answers);
    assert_int_equal(heeded, 2);
    allowed_answer(GONE, &of_db, answers);
    assert_int_equal(heeded, 2);
    table.count = 0;
    allowed_answer(ANYBODY, &of_db, answers);
    assert_int_equal(heeded, 3);
    assert_int_equal(answered, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_it_brings, begin),
        cmocka_unit_test_setup(test_what_it_says, begin),
        cmocka_unit_test_setup(test_what_it_asks, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: save/restoring.c net/mac.c tests/unit/stubs.c */
/* Whether a copy from an image may run is decided when it is whole: who has the guest is asked again then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dev/platform.h"
#include "hv/vm.h"
#include "host/clock.h"
#include "host/host_work.h"
#include "tls/random.h"
#include "owners/asking.h"
#include "owners/claims.h"
#include "owners/handoff.h"
#include "migrate/migration.h"
#include "net/mac.h"
#include "save/image_reader.h"
#include "save/restoring.h"
#include "save/saving.h"

static struct {
    struct list vms;
    struct vm vm; /* the copy, or another guest of this identity */
    struct platform platform;
    struct image_reader *reader;
    u64 (*poll)(void);
    unsigned asked;
    bool asking, busy; /* a question is under way; one of somebody else's */
    bool over;
    struct restored restored;
} rig;

/* --- What it stands on ------------------------------------------------------------------------------------------- */

int image_reader_init(struct image_reader *reader, const struct transport *file)
{
    (void)file;
    *reader = (struct image_reader){ .header = { .vm_id = "the guest's own", .epoch = 7 } };
    rig.reader = reader;
    return 0;
}

void image_reader_fini(struct image_reader *reader)
{
    (void)reader;
    rig.reader = NULL;
}

void image_reader_step(struct image_reader *reader)
{
    (void)reader;
}

void image_reader_begin(struct image_reader *reader, const struct image_identity *identity)
{
    reader->identity = *identity;
    reader->status = READER_RESERVING;
}

struct transport image_reader_transport(struct image_reader *reader)
{
    return (struct transport){ .ctx = reader };
}

void image_reader_pass(struct image_reader *reader)
{
    reader->status = READER_PASSING;
}

void image_reader_commit(struct image_reader *reader)
{
    reader->status = READER_COMMITTED;
}

void image_reader_fail(struct image_reader *reader, enum wire_code error, const char *reason)
{
    snprintf(reader->reason, sizeof(reader->reason), "%s", reason);
    reader->status = READER_FAILED;
    reader->error = error;
    reader->hung_up = true;
}

void migration_take(const struct transport *transport, const struct wire_header *header, const char *peer)
{
    (void)transport, (void)header, (void)peer;
}

const struct dest *migration_dest(void)
{
    return NULL;
}

u64 dest_known_epoch(const struct dest *dest, const u8 *vm_id, u64 epoch)
{
    (void)dest, (void)vm_id, (void)epoch;
    return 0;
}

struct list *vm_list(void)
{
    return &rig.vms;
}

bool asking_begin(struct vm *copy)
{
    assert_ptr_equal(copy, &rig.vm);
    if (rig.asking || rig.busy)
        return false;
    rig.asked++;
    return rig.asking = true;
}

bool asking_about(const struct vm *vm)
{
    return rig.asking && vm == &rig.vm;
}

u64 claims_owner(void)
{
    return 5;
}

struct image_counters *image_counters(void)
{
    static struct image_counters counters;

    return &counters;
}

void acpi_pm_new_generation(struct acpi_pm *pm)
{
    (void)pm;
}

u64 clock_ns(void)
{
    return 0;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

void random_fill(u8 *bytes, u32 len)
{
    memset(bytes, 1, len);
}

void host_work_add(u64 (*fn)(void))
{
    rig.poll = fn;
}

/* --- A restore, up to where its copy takes the rest of the image ------------------------------------------------ */

static void over(void *ctx, const struct restored *restored)
{
    (void)ctx;
    rig.over = true;
    rig.restored = *restored;
}

/* The image's header and description are there. */
static void open_image(u64 epoch, bool clone)
{
    const struct restore_request request = { .name = "web", .new_identity = clone };
    const struct transport file = { .ctx = NULL };
    u64 (*poll)(void) = rig.poll;

    memset(&rig, 0, sizeof(rig));
    list_init(&rig.vms);
    rig.poll = poll; /* told once */
    assert_int_equal(restoring_begin(&request, &file, over, NULL), 0);
    rig.reader->header.epoch = epoch;
    rig.reader->status = READER_OPENED;
    rig.poll();
}

static int begin(void **state)
{
    (void)state;
    open_image(7, false);
    assert_int_equal(rig.reader->status, READER_RESERVING);
    rig.vm.platform = &rig.platform;
    rig.vm.status = VM_INCOMING;
    rig.vm.identity.epoch = rig.reader->identity.epoch;
    memcpy(rig.vm.identity.id, rig.reader->identity.vm_id, VM_ID);
    list_add_tail(&rig.vms, &rig.vm.node);
    rig.reader->status = READER_ACCEPTED;
    rig.poll();
    assert_int_equal(rig.reader->status, READER_PASSING);
    assert_int_equal(rig.asked, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (rig.reader && !rig.over) {
        rig.reader->status = READER_RUNNING;
        rig.reader->hung_up = true;
        rig.poll();
    }
    assert_null(rig.reader);
    return 0;
}

/* --- Tests ------------------------------------------------------------------------------------------------------- */

/* However early the first question is over: when the copy is whole, it is asked about anew. */
static void test_asked_again(void **state)
{
    (void)state;
    rig.asking = false;
    rig.busy = true;
    rig.reader->status = READER_PREPARED;
    rig.poll();
    assert_int_equal(rig.asked, 1);
    rig.busy = false;
    rig.poll();
    assert_int_equal(rig.asked, 2);
    rig.poll();
    assert_int_equal(rig.reader->status, READER_PREPARED);
    rig.asking = false;
    rig.poll();
    assert_int_equal(rig.reader->status, READER_COMMITTED);
    assert_int_equal(rig.asked, 2);
}

static void test_the_first_question_is_not_enough(void **state)
{
    (void)state;
    rig.reader->status = READER_PREPARED;
    rig.poll();
    rig.asking = false;
    rig.poll();
    assert_int_equal(rig.reader->status, READER_PREPARED);
    assert_int_equal(rig.asked, 2);
}

static void given_up(enum image_reader_status status)
{
    rig.reader->status = status;
    rig.vm.elsewhere = 7;
    strcpy(rig.vm.reason, "web at 10.0.0.9, epoch 7");
    rig.poll();
    assert_true(rig.over && !rig.restored.done);
    assert_string_equal(rig.restored.reason, "web at 10.0.0.9, epoch 7; end it there, or use new-identity");
}

/* Whenever it is heard that the guest is elsewhere. */
static void test_elsewhere_before_it_is_whole(void **state)
{
    (void)state;
    given_up(READER_PASSING);
}

static void test_elsewhere_when_it_is_whole(void **state)
{
    (void)state;
    given_up(READER_PREPARED);
}

/* The destination has refused it, because of a guest that is here. */
static void test_what_is_in_the_way(void **state)
{
    const struct {
        enum wire_code code;
        const char *name, *reason, *told;
        bool same;
    } cases[] = {
        { WIRE_E_NAME, "web", "it is there", "it is there; --name gives it another one", false },
        { WIRE_E_NAME, "web", "it is there", "it is there; or use new-identity and --name", true },
        { WIRE_E_NAME, "web", "use new-identity", "use new-identity", true },
        { WIRE_E_NAME, "db", "it is elsewhere", "it is elsewhere", false },
        { WIRE_E_MEMORY, "web", "no memory", "no memory", false },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_image(7, false);
        strcpy(rig.vm.name, cases[i].name);
        memcpy(rig.vm.identity.id, rig.reader->identity.vm_id, VM_ID);
        rig.vm.identity.id[0] ^= !cases[i].same;
        list_add_tail(&rig.vms, &rig.vm.node);
        image_reader_fail(rig.reader, cases[i].code, cases[i].reason);
        rig.poll();
        assert_string_equal(rig.restored.reason, cases[i].told);
        end(NULL);
    }
}

/* Whoever restores a clone is told how its guest comes to its own MAC. */
static void test_what_a_clone_needs(void **state)
{
    char note[200], command[80];
    u8 mac[WIRE_MAC];

    (void)state;
    for (unsigned clone = 0; clone < 2; clone++) {
        open_image(7, clone);
        memcpy(mac, rig.reader->identity.mac, WIRE_MAC);
        end(NULL);
        assert_true(rig.restored.done);
        restored_note(&rig.restored, note, sizeof(note));
        assert_int_equal(note[0] != '\0', clone);
    }
    snprintf(command, sizeof(command), "`ip link set eth0 address %s`", mac_text(mac).text);
    assert_non_null(strstr(note, command));
}

/* No image brings a guest to where neither a move nor force leads out; a clone begins anew. */
static void test_an_epoch_that_is_not_credible(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        bool taken = i != 1;

        open_image(EPOCH_MAX - EPOCH_STEP + (i > 0), i == 2);
        assert_int_equal(rig.over, !taken);
        if (taken)
            assert_int_equal(rig.reader->identity.epoch, i ? 1 : EPOCH_MAX - EPOCH_STEP + EPOCH_FORCE + 5);
        end(NULL);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_asked_again),
        TEST(test_the_first_question_is_not_enough),
        TEST(test_elsewhere_before_it_is_whole),
        TEST(test_elsewhere_when_it_is_whole),
        cmocka_unit_test(test_what_is_in_the_way),
        cmocka_unit_test(test_what_a_clone_needs),
        cmocka_unit_test(test_an_epoch_that_is_not_credible),
    };

    return cmocka_run_group_tests_name("restoring", tests, NULL, NULL);
}

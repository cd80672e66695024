/* SPDX-License-Identifier: BSD-2-Clause */
/* Of guests that came here and have ended, the last ones are remembered; one that waits to be started has not ended. */
/* sources: migrate/vm_ended.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest/load/vm_report.h"
#include "hv/vm.h"
#include "migrate/vm_dest.h"
#include "migrate/vm_ended.h"
#include "migrate/vm_source.h"
#include "owners/announcer.h"
#include "owners/asking.h"

#define GUESTS (2 * MIGRATION_ENDED + 1)

static struct vm guests[GUESTS];
static bool waiting[GUESTS];
static unsigned left;
static struct list vms;
struct dest vm_dest;

struct list *vm_list(void)
{
    return &vms;
}

bool asking_waits(const struct vm *vm)
{
    return waiting[vm - guests];
}

struct vm_source *vm_source_find(const struct vm *vm)
{
    (void)vm;
    return NULL;
}

void vm_destroy(struct vm *vm)
{
    list_del(&vm->node);
    left--;
}

void vm_bury(struct vm *vm)
{
    vm->buried = true;
}

void tcp_stream_abort_lingering(const void *lender)
{
    (void)lender;
}

void dest_forget(struct dest *dest, void *vm)
{
    assert_true(dest == &vm_dest && vm);
}

unsigned dest_settle(struct dest *dest, const u8 *vm_id)
{
    assert_true(dest == &vm_dest);
    return vm_id != NULL;
}

void announcer_stop(const struct vm *vm)
{
    (void)vm;
}

void vm_report(const struct vm *vm)
{
    assert_true(vm_ended(vm));
}

/* They have come, one after the other, and have ended. */
static void come(unsigned waits)
{
    memset(guests, 0, sizeof(guests));
    list_init(&vms);
    left = 0;
    for (unsigned i = 0; i < GUESTS; i++) {
        guests[i] = (struct vm){ .id = i + 1, .arrived = true, .status = VM_OFF };
        waiting[i] = i < waits;
        list_add_tail(&vms, &guests[i].node);
        left++;
        vm_ended_bury();
    }
}

static void test_oldest_is_forgotten(void **state)
{
    (void)state;
    come(0);
    assert_int_equal(left, MIGRATION_ENDED);
    list_each (const struct vm, vm, &vms)
        assert_true(vm->id > GUESTS - MIGRATION_ENDED);
}

/* However many they are, and whatever comes after them. Who is started, and ends then, is one of those that have. */
static void test_who_waits_is_kept(void **state)
{
    (void)state;
    come(MIGRATION_ENDED + 1);
    assert_int_equal(left, GUESTS);
    waiting[1] = false;
    vm_ended_bury();
    assert_int_equal(left, GUESTS - 1);
    assert_int_equal(container_of(vms.next, struct vm, node)->id, 1);
    assert_int_equal(container_of(vms.next->next, struct vm, node)->id, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_oldest_is_forgotten),
                                        cmocka_unit_test(test_who_waits_is_kept) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

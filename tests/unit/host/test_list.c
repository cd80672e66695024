/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists: order of insertion, removal during iteration, and that a removed node is whole again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/bits.h"
#include "host/list.h"

struct item {
    int value;
    struct list node;
};

/* The list holds exactly these values, read in both directions. */
static void check(struct list *head, const int *values, int count)
{
    int i = 0;

    list_each (const struct item, item, head)
        assert_int_equal(item->value, values[i++]);
    assert_int_equal(i, count);
    for (struct list *node = head->prev; node != head; node = node->prev)
        assert_int_equal(container_of(node, struct item, node)->value, values[--i]);
    assert_int_equal(i, 0);
}

static void test_empty(void **state)
{
    struct list head;

    (void)state;
    list_init(&head);
    assert_true(list_empty(&head));
    check(&head, NULL, 0);
}

static void test_order(void **state)
{
    struct item a = { .value = 1 }, b = { .value = 2 }, c = { .value = 3 }, d = { .value = 4 };
    struct list head;

    (void)state;
    list_init(&head);
    list_add(&head, &b.node);
    list_add(&head, &a.node);
    list_add_tail(&head, &d.node);
    list_add_tail(&d.node, &c.node);
    check(&head, (int[]){ 1, 2, 3, 4 }, 4);
}

static void test_remove(void **state)
{
    struct item item[5];
    struct list head, other;

    (void)state;
    list_init(&head);
    list_init(&other);
    for (int i = 0; i < 5; i++) {
        item[i].value = i;
        list_add_tail(&head, &item[i].node);
    }
    list_each_safe (struct item, even, &head) {
        if (even->value % 2 == 0) {
            list_del(&even->node);
            list_add(&other, &even->node);
        }
    }
    check(&head, (int[]){ 1, 3 }, 2);
    check(&other, (int[]){ 4, 2, 0 }, 3);
}

static void test_remove_last(void **state)
{
    struct item item = { .value = 7 };
    struct list head;

    (void)state;
    list_init(&head);
    list_add(&head, &item.node);
    list_del(&item.node);
    assert_true(list_empty(&head));
    assert_true(list_empty(&item.node));
    list_del(&item.node); /* harmless: the node is a list of its own */
    assert_true(list_empty(&item.node));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_remove_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/sections.c dev/codec.c tests/unit/stubs.c */
/* State as bytes: saved, sent, kept and restored; what is malformed or refused is said in words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/digest.h"
#include "stream/sections.h"

#define CHIPS 4

/* A machine of a few chips, each with so many bytes. */
struct box {
    u8 chip[CHIPS][WIRE_BODY_MAX];
    u32 size[CHIPS];
    int refuse; /* the chip that takes nothing; -1: all take all */
};
static struct box old, new;
static struct sections sections, arrived;
static char reason[WIRE_REASON];

static void box_section(void *vm, unsigned index, struct wire_section *section, struct codec *c)
{
    struct box *box = vm;
    struct wire_section here = { .name = "chip", .instance = index };

    if (!c->restoring)
        *section = here;
    if (index >= CHIPS || memcmp(section->name, here.name, sizeof(here.name)) != 0 || section->instance != index) {
        codec_refuse(c, -ENOENT, "expected no more");
        return;
    }
    codec_bytes(c, box->chip[index], box->size[index]);
    codec_judge(c, (int)index != box->refuse, "it never does");
}

static int start(void **state)
{
    (void)state;
    memset(&old, 0, sizeof(old));
    memset(&new, 0, sizeof(new));
    for (unsigned i = 0; i < CHIPS; i++) {
        old.size[i] = new.size[i] = 100 * i + 3 * (i > 1); /* the first is empty */
        memset(old.chip[i], (int)i + 1, sizeof(old.chip[i]));
    }
    old.refuse = new.refuse = -1;
    assert_int_equal(sections_init(&sections), 0);
    assert_int_equal(sections_init(&arrived), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    sections_fini(&sections);
    sections_fini(&arrived);
    return 0;
}

static void transfer(void)
{
    const void *body;
    size_t at = 0, len;

    sections_clear(&arrived);
    while ((len = sections_next(&sections, &at, &body)))
        assert_int_equal(sections_add(&arrived, body, len), 0);
}

static void state_goes_over(void **state)
{
    u64 digest = 0;

    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        old.chip[1][7] = (u8)(20 + n);
        assert_int_equal(sections_save(&sections, box_section, &old, reason), 0);
        transfer();
        assert_int_equal(arrived.number, CHIPS);
        assert_int_equal(arrived.digest, sections.digest);
        assert_int_not_equal(arrived.digest, digest);
        digest = arrived.digest;
        assert_int_equal(sections_restore(&arrived, box_section, &new, reason), 0);
        for (unsigned i = 0; i < CHIPS; i++)
            assert_memory_equal(old.chip[i], new.chip[i], old.size[i]);
    }
}

/* The digest is that of migration-stream.md's PREPARE: of each head, then of its bytes. */
static void digest_is_that_of_a_move(void **state)
{
    u64 digest = 0;

    (void)state;
    assert_int_equal(sections_save(&sections, box_section, &old, reason), 0);
    for (u32 i = 0; i < CHIPS; i++) {
        struct wire_section head = { .name = "chip", .instance = i, .len = old.size[i] };

        digest = digest_bytes(digest_bytes(digest, &head, sizeof(head)), old.chip[i], head.len);
    }
    assert_int_equal(sections.digest, digest);
}

static void malformed(void **state)
{
    struct {
        struct wire_section head;
        u8 bytes[10];
    } body = { .head = { .name = "chip", .len = 10 } };

    (void)state;
    assert_int_equal(sections_add(&arrived, &body, sizeof(body.head) - 1), -EPROTO);
    assert_int_equal(sections_add(&arrived, &body, sizeof(body.head) + 9), -EPROTO);
    body.head.len = 0xFFFFFFF0;
    assert_int_equal(sections_add(&arrived, &body, sizeof(body.head) + 10), -EPROTO);
    body.head.len = 10;
    memset(body.head.name, 'x', sizeof(body.head.name));
    assert_int_equal(sections_add(&arrived, &body, sizeof(body.head) + 10), -EPROTO);
    assert_int_equal(arrived.number + arrived.len, 0);
}

static void room_is_bounded(void **state)
{
    size_t len = sizeof(struct wire_section) + 50000;
    struct wire_section *body = calloc(1, len);
    unsigned i = 0;

    (void)state;
    body->len = 50000;
    while (!sections_add(&arrived, body, len))
        i++;
    assert_int_equal(i, SECTIONS_ROOM / len);
    assert_int_equal(sections_add(&arrived, body, len), -ENOSPC);
    free(body);
}

static void refused(void **state)
{
    (void)state;
    old.refuse = 2;
    new.refuse = 2;
    assert_int_equal(sections_save(&sections, box_section, &old, reason), 0);
    assert_int_equal(sections_restore(&sections, box_section, &new, reason), -EINVAL);
    assert_string_equal(reason, "state of chip 2: it never does");
    new.refuse = -1;
    new.size[3]--;
    assert_int_equal(sections_restore(&sections, box_section, &new, reason), -EINVAL);
    assert_string_equal(reason, "state of chip 3: it is longer than expected");
    new.size[3]++;
    assert_int_equal(sections_restore(&sections, box_section, &new, reason), 0);
    transfer();
    sections_add(&arrived, sections.bytes, sizeof(struct wire_section)); /* the first once more */
    assert_int_equal(sections_restore(&arrived, box_section, &new, reason), -ENOENT);
    assert_string_equal(reason, "state of chip 0: expected no more");
}

static void too_much_to_save(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CHIPS; i++)
        old.size[i] = SECTIONS_ROOM / CHIPS;
    assert_int_equal(sections_save(&sections, box_section, &old, reason), -ENOSPC);
    assert_string_equal(reason, "state of chip 3: no room for chip[index]");
}

#define sections_test(function) cmocka_unit_test_setup_teardown(function, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        sections_test(state_goes_over), sections_test(digest_is_that_of_a_move),
        sections_test(malformed),       sections_test(room_is_bounded),
        sections_test(refused),         sections_test(too_much_to_save),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/i8259.c dev/codec.c */
/* The 8259 pair as a PC sets it up: edges, levels, priorities, cascade, spurious interrupts, saved state. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/i8259.h"
#include "dev/codec.h"

#define MASTER 0
#define SLAVE 1
#define EOI 0x20

static struct i8259 pic;

static void init_chip(unsigned chip, u8 vector, u8 cascade, u8 icw4)
{
    i8259_write(&pic, chip, 0, 0x11);
    i8259_write(&pic, chip, 1, vector);
    i8259_write(&pic, chip, 1, cascade);
    i8259_write(&pic, chip, 1, icw4);
    i8259_write(&pic, chip, 1, 0);
}

static int setup(void **state)
{
    (void)state;
    memset(&pic, 0, sizeof(pic));
    i8259_reset(&pic);
    init_chip(MASTER, 0x30, 4, 1);
    init_chip(SLAVE, 0x38, 2, 1);
    return 0;
}

static void pulse(unsigned line)
{
    i8259_set_line(&pic, line, true);
    i8259_set_line(&pic, line, false);
}

static void silent_until_initialized(void **state)
{
    (void)state;
    memset(&pic, 0, sizeof(pic));
    i8259_reset(&pic);
    pulse(0);
    assert_false(i8259_intr(&pic));
}

static void an_edge_interrupts_once(void **state)
{
    (void)state;
    i8259_set_line(&pic, 4, true);
    assert_true(i8259_intr(&pic));
    assert_int_equal(i8259_ack(&pic), 0x34);
    assert_false(i8259_intr(&pic));
    i8259_write(&pic, MASTER, 0, EOI);
    assert_false(i8259_intr(&pic)); /* still high, but no new edge */
    i8259_set_line(&pic, 4, false);
    i8259_set_line(&pic, 4, true);
    assert_int_equal(i8259_ack(&pic), 0x34);
}

static void a_masked_edge_waits(void **state)
{
    (void)state;
    i8259_write(&pic, MASTER, 1, 0xFF);
    pulse(1);
    assert_false(i8259_intr(&pic));
    assert_int_equal(i8259_read(&pic, MASTER, 1), 0xFF);
    i8259_write(&pic, MASTER, 1, 0);
    assert_int_equal(i8259_ack(&pic), 0x31);
}

static void lower_numbers_come_first_and_block_the_others(void **state)
{
    (void)state;
    pulse(6);
    pulse(3);
    assert_int_equal(i8259_ack(&pic), 0x33);
    assert_false(i8259_intr(&pic));
    pulse(1);
    assert_int_equal(i8259_ack(&pic), 0x31); /* interrupts the handler of 3 */
    i8259_write(&pic, MASTER, 0, EOI);
    assert_false(i8259_intr(&pic));
    i8259_write(&pic, MASTER, 0, EOI);
    assert_int_equal(i8259_ack(&pic), 0x36);
}

static void the_slave_comes_through_input_2(void **state)
{
    (void)state;
    pulse(8);
    pulse(14);
    assert_int_equal(i8259_ack(&pic), 0x38);
    i8259_write(&pic, MASTER, 0, 0x0B);
    i8259_write(&pic, SLAVE, 0, 0x0B);
    assert_int_equal(i8259_read(&pic, MASTER, 0), 4);
    assert_int_equal(i8259_read(&pic, SLAVE, 0), 1);
    i8259_write(&pic, SLAVE, 0, EOI);
    i8259_write(&pic, MASTER, 0, EOI);
    assert_int_equal(i8259_ack(&pic), 0x3E);
    i8259_write(&pic, SLAVE, 0, EOI);
    i8259_write(&pic, MASTER, 0, EOI);
    assert_false(i8259_intr(&pic));
}

static void the_firmware_has_made_shared_lines_levels(void **state)
{
    (void)state;
    i8259_reset(&pic);
    assert_int_equal(i8259_elcr_read(&pic, MASTER), 1 << 5);
    assert_int_equal(i8259_elcr_read(&pic, SLAVE), 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4); /* 9 is ACPI's */
    i8259_set_line(&pic, 5, true);
    i8259_set_line(&pic, 12, true);
    i8259_reset(&pic);
    assert_int_equal(i8259_read(&pic, MASTER, 0), 1 << 5);
    assert_int_equal(i8259_read(&pic, SLAVE, 0), 1 << 4);
}

static void an_edge_waits_until_it_is_taken(void **state)
{
    (void)state;
    assert_false(i8259_waits(&pic, 3));
    pulse(3);
    assert_true(i8259_waits(&pic, 3));
    i8259_write(&pic, MASTER, 1, 1 << 3);
    assert_false(i8259_waits(&pic, 3)); /* masked: nobody is to take it */
    i8259_write(&pic, MASTER, 1, 0);
    i8259_ack(&pic);
    assert_false(i8259_waits(&pic, 3));
    pulse(3); /* while the first one is in service */
    assert_true(i8259_waits(&pic, 3));
    pulse(14);
    assert_true(i8259_waits(&pic, 14));
}

static void a_level_interrupts_while_it_is_high(void **state)
{
    (void)state;
    i8259_elcr_write(&pic, SLAVE, 0xFF);
    assert_int_equal(i8259_elcr_read(&pic, SLAVE), 0xDE); /* 8 and 13 can't be */
    i8259_set_line(&pic, 9, true);
    assert_int_equal(i8259_ack(&pic), 0x39);
    i8259_write(&pic, SLAVE, 0, EOI);
    i8259_write(&pic, MASTER, 0, EOI);
    assert_true(i8259_intr(&pic));
    assert_int_equal(i8259_ack(&pic), 0x39);
    i8259_set_line(&pic, 9, false);
    i8259_write(&pic, SLAVE, 0, EOI);
    i8259_write(&pic, MASTER, 0, EOI);
    assert_false(i8259_intr(&pic));
}

static void what_has_gone_is_spurious(void **state)
{
    (void)state;
    assert_int_equal(i8259_ack(&pic), 0x37);
    i8259_write(&pic, MASTER, 0, 0x0B);
    assert_int_equal(i8259_read(&pic, MASTER, 0), 0); /* nothing is in service */
}

static void rotation_and_specific_eoi(void **state)
{
    (void)state;
    pulse(0);
    assert_int_equal(i8259_ack(&pic), 0x30);
    i8259_write(&pic, MASTER, 0, 0xE0); /* specific, rotating: 0 is now the least */
    pulse(0);
    pulse(1);
    assert_int_equal(i8259_ack(&pic), 0x31);
    i8259_write(&pic, MASTER, 0, 0x61);
    assert_int_equal(i8259_ack(&pic), 0x30);
}

static void auto_eoi(void **state)
{
    (void)state;
    init_chip(MASTER, 0x40, 4, 3);
    pulse(6);
    assert_int_equal(i8259_ack(&pic), 0x46);
    pulse(6);
    assert_int_equal(i8259_ack(&pic), 0x46);
}

static void poll(void **state)
{
    (void)state;
    pulse(6);
    i8259_write(&pic, MASTER, 0, 0x0C);
    assert_int_equal(i8259_read(&pic, MASTER, 0), 0x86);
    i8259_write(&pic, MASTER, 0, 0x0C);
    assert_int_equal(i8259_read(&pic, MASTER, 0), 0);
}

static void saved_state_goes_on(void **state)
{
    u8 buffer[128];
    struct codec w = codec_saver(buffer, sizeof(buffer));
    struct i8259 copy;

    (void)state;
    pulse(5);
    pulse(12);
    i8259_ack(&pic);
    i8259_state(&pic, &w);
    assert_int_equal(w.err, 0);
    copy = pic;
    memset(&pic, 0xFF, sizeof(pic));
    struct codec r = codec_restorer(buffer, w.at);

    i8259_state(&pic, &r);
    assert_int_equal(r.err, 0);
    assert_memory_equal(&pic, &copy, sizeof(pic));
    for (size_t len = 0; len < w.at; len++) {
        r = codec_restorer(buffer, len);
        i8259_state(&pic, &r);
        assert_int_equal(r.err, -EINVAL);
    }
    buffer[0]++;
    r = codec_restorer(buffer, w.at);
    i8259_state(&pic, &r);
    assert_int_equal(r.err, -ENOTSUP);
    assert_memory_equal(&pic, &copy, sizeof(pic));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(silent_until_initialized, setup),
        cmocka_unit_test_setup(an_edge_interrupts_once, setup),
        cmocka_unit_test_setup(a_masked_edge_waits, setup),
        cmocka_unit_test_setup(lower_numbers_come_first_and_block_the_others, setup),
        cmocka_unit_test_setup(the_slave_comes_through_input_2, setup),
        cmocka_unit_test_setup(the_firmware_has_made_shared_lines_levels, setup),
        cmocka_unit_test_setup(an_edge_waits_until_it_is_taken, setup),
        cmocka_unit_test_setup(a_level_interrupts_while_it_is_high, setup),
        cmocka_unit_test_setup(what_has_gone_is_spurious, setup),
        cmocka_unit_test_setup(rotation_and_specific_eoi, setup),
        cmocka_unit_test_setup(auto_eoi, setup),
        cmocka_unit_test_setup(poll, setup),
        cmocka_unit_test_setup(saved_state_goes_on, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

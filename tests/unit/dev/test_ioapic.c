/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/ioapic.c dev/codec.c */
/* The I/O APIC: edges, levels and their EOIs, masks, destinations, message-signalled interrupts, saved state. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/ioapic.h"
#include "dev/lapic.h"
#include "dev/codec.h"

#define LOW_ACTIVE 0x2000ULL /* of a redirection entry */

static struct ioapic ioapic;
static struct lapic_ipi last;
static bool last_level, reachable;
static unsigned sent;

static bool fake_send(void *ctx, const struct lapic_ipi *message, bool level)
{
    assert_ptr_equal(ctx, &ioapic);
    last = *message;
    last_level = level;
    sent++;
    return reachable;
}

static const struct ioapic_env env = { .send = fake_send };

static u32 in(u8 reg)
{
    ioapic_write(&ioapic, IOAPIC_SELECT, 4, reg);
    return ioapic_read(&ioapic, IOAPIC_WINDOW, 4);
}

static void out(u8 reg, u32 value)
{
    ioapic_write(&ioapic, IOAPIC_SELECT, 4, reg);
    ioapic_write(&ioapic, IOAPIC_WINDOW, 4, value);
}

static void program(unsigned pin, u64 entry)
{
    out(IOAPIC_REG_PIN + 2 * pin + 1, entry >> 32);
    out(IOAPIC_REG_PIN + 2 * pin, (u32)entry);
}

static int setup(void **state)
{
    (void)state;
    sent = 0;
    reachable = true;
    ioapic_init(&ioapic, 3, &env, &ioapic);
    return 0;
}

static void registers(void **state)
{
    (void)state;
    assert_int_equal(in(IOAPIC_REG_ID), 3 << 24);
    assert_int_equal(in(IOAPIC_REG_VERSION), 0x170020);
    assert_int_equal(in(IOAPIC_REG_PIN + 46), IOAPIC_MASKED);
    assert_int_equal(in(IOAPIC_REG_PIN + 48), 0);
    out(IOAPIC_REG_PIN, 0xFFFFFFFF);
    assert_int_equal(in(IOAPIC_REG_PIN), 0x1AFFF); /* delivery status and remote IRR are the chip's */
    out(IOAPIC_REG_PIN + 1, 0xFFFFFFFF);
    assert_int_equal(in(IOAPIC_REG_PIN + 1), 0xFF000000);
    out(IOAPIC_REG_ID, 0xF5000000);
    assert_int_equal(in(IOAPIC_REG_ID), 0x05000000);
    assert_int_equal(ioapic_read(&ioapic, IOAPIC_WINDOW, 1), 0);
}

static void an_edge_is_one_message(void **state)
{
    (void)state;
    program(4, 0x0200000000000031);
    ioapic_set_line(&ioapic, 4, true);
    assert_int_equal(sent, 1);
    assert_int_equal(last.vector, 0x31);
    assert_int_equal(last.delivery, LAPIC_FIXED);
    assert_int_equal(last.destination, 2);
    assert_false(last.logical || last_level);
    ioapic_set_line(&ioapic, 4, true);
    ioapic_set_line(&ioapic, 4, false);
    assert_int_equal(sent, 1);
    ioapic_set_line(&ioapic, 4, true);
    assert_int_equal(sent, 2);
}

static void a_masked_edge_is_lost(void **state)
{
    (void)state;
    program(4, IOAPIC_MASKED | 0x31);
    ioapic_set_line(&ioapic, 4, true);
    program(4, 0x31);
    assert_int_equal(sent, 0);
}

static void a_level_interrupts_until_it_falls(void **state)
{
    (void)state;
    program(17, IOAPIC_LEVEL | LOW_ACTIVE | 0x51);
    ioapic_set_line(&ioapic, 17, true);
    assert_int_equal(sent, 1);
    assert_true(last_level);
    assert_true(in(IOAPIC_REG_PIN + 34) & IOAPIC_REMOTE_IRR);
    ioapic_eoi(&ioapic, 0x52);
    assert_int_equal(sent, 1);
    ioapic_eoi(&ioapic, 0x51);
    assert_int_equal(sent, 2);
    ioapic_set_line(&ioapic, 17, false);
    ioapic_write(&ioapic, IOAPIC_EOI, 4, 0x51);
    assert_int_equal(sent, 2);
    assert_false(in(IOAPIC_REG_PIN + 34) & IOAPIC_REMOTE_IRR);
}

static void a_masked_level_waits(void **state)
{
    (void)state;
    program(17, IOAPIC_MASKED | IOAPIC_LEVEL | 0x51);
    ioapic_set_line(&ioapic, 17, true);
    assert_int_equal(sent, 0);
    program(17, IOAPIC_LEVEL | 0x51);
    assert_int_equal(sent, 1);
    program(17, IOAPIC_MASKED | IOAPIC_LEVEL | 0x51);
    ioapic_eoi(&ioapic, 0x51);
    assert_int_equal(sent, 1);
}

static void edge_mode_clears_remote_irr(void **state)
{
    (void)state;
    program(9, IOAPIC_LEVEL | 0x51);
    ioapic_set_line(&ioapic, 9, true);
    program(9, IOAPIC_MASKED | 0x51);
    assert_false(in(IOAPIC_REG_PIN + 18) & IOAPIC_REMOTE_IRR);
    program(9, IOAPIC_LEVEL | 0x51);
    assert_int_equal(sent, 2);
}

static void destinations(void **state)
{
    (void)state;
    program(1, 0x0300000000000941); /* lowest priority, logical */
    ioapic_set_line(&ioapic, 1, true);
    assert_true(last.logical);
    assert_int_equal(last.delivery, LAPIC_LOWEST);
    assert_int_equal(last.destination, 3);
    program(2, 0xFF00000000000042);
    ioapic_set_line(&ioapic, 2, true);
    assert_int_equal(last.destination, LAPIC_BROADCAST);
}

static void nobody_there(void **state)
{
    (void)state;
    reachable = false;
    program(9, 0x0900000000000000 | IOAPIC_LEVEL | 0x51);
    ioapic_set_line(&ioapic, 9, true);
    assert_false(in(IOAPIC_REG_PIN + 18) & IOAPIC_REMOTE_IRR);
}

static void messages(void **state)
{
    struct lapic_ipi message;
    bool level;

    (void)state;
    assert_true(message_decode(0xFEE01000, 0x4061, &message, &level));
    assert_int_equal(message.vector, 0x61);
    assert_int_equal(message.destination, 1);
    assert_false(message.logical || level);
    assert_true(message_decode(0xFEEFF00C, 0x8162, &message, &level));
    assert_true(message.logical && level);
    assert_int_equal(message.delivery, LAPIC_LOWEST);
    assert_int_equal(message.destination, LAPIC_BROADCAST);
    assert_false(message_decode(0xFED00000, 0x61, &message, &level));
    assert_false(message_decode(0x1FEE00000, 0x61, &message, &level));
}

static void the_message_of_an_edge(void **state)
{
    struct lapic_ipi message;

    (void)state;
    assert_false(ioapic_edge(&ioapic, 2, &message)); /* masked */
    program(2, 0x45);
    assert_true(ioapic_edge(&ioapic, 2, &message));
    assert_int_equal(message.vector, 0x45);
    program(2, 0x45 | IOAPIC_LEVEL);
    assert_false(ioapic_edge(&ioapic, 2, &message));
    program(2, LAPIC_EXTINT << 8); /* whose vector is the 8259's */
    assert_false(ioapic_edge(&ioapic, 2, &message));
}

static void saved_state_goes_on(void **state)
{
    u8 buffer[512];
    struct codec w = codec_saver(buffer, sizeof(buffer));

    (void)state;
    program(9, IOAPIC_LEVEL | 0x51);
    ioapic_set_line(&ioapic, 9, true);
    ioapic_state(&ioapic, &w);
    assert_int_equal(w.err, 0);
    ioapic_init(&ioapic, 0, &env, &ioapic);
    struct codec r = codec_restorer(buffer, w.at);

    ioapic_state(&ioapic, &r);
    assert_int_equal(r.err, 0);
    assert_int_equal(in(IOAPIC_REG_ID), 3 << 24);
    assert_true(in(IOAPIC_REG_PIN + 18) & IOAPIC_REMOTE_IRR);
    sent = 0;
    ioapic_eoi(&ioapic, 0x51);
    assert_int_equal(sent, 1);
    for (size_t len = 0; len < w.at; len++) {
        r = codec_restorer(buffer, len);
        ioapic_state(&ioapic, &r);
        assert_int_equal(r.err, -EINVAL);
    }
    memset(buffer + 8, 0xFF, 8); /* an entry with bits that are not there */
    r = codec_restorer(buffer, w.at);
    ioapic_state(&ioapic, &r);
    assert_int_equal(r.err, -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(registers, setup),
        cmocka_unit_test_setup(an_edge_is_one_message, setup),
        cmocka_unit_test_setup(a_masked_edge_is_lost, setup),
        cmocka_unit_test_setup(a_level_interrupts_until_it_falls, setup),
        cmocka_unit_test_setup(a_masked_level_waits, setup),
        cmocka_unit_test_setup(edge_mode_clears_remote_irr, setup),
        cmocka_unit_test_setup(destinations, setup),
        cmocka_unit_test_setup(nobody_there, setup),
        cmocka_unit_test_setup(messages, setup),
        cmocka_unit_test_setup(the_message_of_an_edge, setup),
        cmocka_unit_test_setup(saved_state_goes_on, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

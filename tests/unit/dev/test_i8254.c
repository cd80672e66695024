/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/i8254.c dev/codec.c */
/* The 8254 under a clock that the test turns: modes, gates, latches, BCD, counter 0's edges, saved state. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/i8254.h"
#include "dev/codec.h"

static struct i8254 pit;
static u64 now;

static int setup(void **state)
{
    (void)state;
    now = 1000;
    i8254_reset(&pit);
    return 0;
}

static void command(u8 value)
{
    i8254_write(&pit, I8254_COMMAND, value, now);
}

static void count(unsigned channel, u16 value)
{
    i8254_write(&pit, channel, (u8)value, now);
    i8254_write(&pit, channel, value >> 8, now);
}

static u16 read16(unsigned channel)
{
    u8 low = i8254_read(&pit, channel, now);

    return low | i8254_read(&pit, channel, now) << 8;
}

static void idle_after_reset(void **state)
{
    (void)state;
    assert_int_equal(i8254_next_rise(&pit, now), I8254_NEVER);
}

static void mode0_ends_once(void **state)
{
    (void)state;
    command(0x30);
    count(0, 500);
    assert_false(i8254_output(&pit, 0, now));
    assert_int_equal(i8254_next_rise(&pit, now), 1500);
    now = 1400;
    assert_int_equal(read16(0), 100);
    assert_false(i8254_output(&pit, 0, 1499));
    assert_true(i8254_output(&pit, 0, 1500));
    assert_int_equal(i8254_next_rise(&pit, 1500), I8254_NEVER);
    now = 1501;
    assert_int_equal(read16(0), 0xFFFF); /* goes on from the top */
}

static void mode2_is_periodic(void **state)
{
    (void)state;
    command(0x34);
    count(0, 100);
    assert_int_equal(i8254_next_rise(&pit, 1000), 1100);
    assert_int_equal(i8254_next_rise(&pit, 1099), 1100);
    assert_int_equal(i8254_next_rise(&pit, 1100), 1200);
    assert_int_equal(i8254_next_rise(&pit, 5555), 5600);
    assert_true(i8254_output(&pit, 0, 1098));
    assert_false(i8254_output(&pit, 0, 1099)); /* low for one tick */
    assert_true(i8254_output(&pit, 0, 1100));
    now = 1230;
    assert_int_equal(read16(0), 70);
}

static void mode3_is_square(void **state)
{
    (void)state;
    command(0x36);
    count(0, 0); /* 65536 */
    assert_true(i8254_output(&pit, 0, 1000 + 32767));
    assert_false(i8254_output(&pit, 0, 1000 + 32768));
    assert_int_equal(i8254_next_rise(&pit, now), 1000 + 65536);
    now += 16384;
    assert_int_equal(read16(0), 32768); /* by twos */
}

static void mode4_strobes(void **state)
{
    (void)state;
    command(0x38);
    count(0, 10);
    assert_false(i8254_output(&pit, 0, 1010));
    assert_int_equal(i8254_next_rise(&pit, now), 1011);
    assert_int_equal(i8254_next_rise(&pit, 1011), I8254_NEVER);
}

static void latch_holds(void **state)
{
    (void)state;
    command(0x34);
    count(0, 10000);
    now = 1100;
    command(0x00);
    now = 3000;
    assert_int_equal(read16(0), 9900);
    assert_int_equal(read16(0), 8000);
}

static void read_back(void **state)
{
    (void)state;
    command(0x34);
    assert_true((command(0xE2), i8254_read(&pit, 0, now)) & 0x40); /* null count */
    count(0, 10000);
    now = 1100;
    command(0xC2); /* both of counter 0 */
    now = 1200;
    assert_int_equal(i8254_read(&pit, 0, now), 0xB4); /* output high, both bytes, mode 2 */
    assert_int_equal(read16(0), 9900);
}

static void single_bytes_and_bcd(void **state)
{
    (void)state;
    command(0x14); /* low byte only */
    i8254_write(&pit, 0, 50, now);
    assert_int_equal(i8254_next_rise(&pit, now), 1050);
    command(0x35); /* BCD */
    count(0, 0x1000);
    assert_int_equal(i8254_next_rise(&pit, now), 2000);
    now = 1001;
    assert_int_equal(read16(0), 0x0999);
}

static void gate2_stops_and_resumes(void **state)
{
    (void)state;
    i8254_port61_write(&pit, 1, now);
    command(0xB0); /* counter 2, mode 0 */
    count(2, 100);
    assert_int_equal(i8254_port61_read(&pit, now) & 0x23, 1);
    now = 1040;
    i8254_port61_write(&pit, 0, now);
    now = 5000;
    assert_int_equal(i8254_port61_read(&pit, now) & 0x20, 0);
    i8254_port61_write(&pit, 1, now);
    assert_int_equal(i8254_port61_read(&pit, 5059) & 0x20, 0);
    assert_int_equal(i8254_port61_read(&pit, 5060) & 0x20, 0x20);
}

static void gate2_triggers_mode1(void **state)
{
    (void)state;
    command(0xB2);
    count(2, 100);
    assert_true(i8254_output(&pit, 2, 99999));
    i8254_port61_write(&pit, 1, now);
    assert_false(i8254_output(&pit, 2, 1099));
    assert_true(i8254_output(&pit, 2, 1100));
}

static void refresh_toggles(void **state)
{
    bool seen[2] = { false, false };

    (void)state;
    for (u64 t = 0; t < 100; t++)
        seen[!!(i8254_port61_read(&pit, t) & PORT_61_REFRESH)] = true;
    assert_true(seen[0] && seen[1]);
}

static void rises_are_counted(void **state)
{
    (void)state;
    assert_int_equal(i8254_rises(&pit, 0, 5000), 0);
    command(0x34);
    count(0, 100);
    assert_int_equal(i8254_rises(&pit, now, 1099), 0);
    assert_int_equal(i8254_rises(&pit, now, 1100), 1);
    assert_int_equal(i8254_rises(&pit, 1100, 1199), 0);
    assert_int_equal(i8254_rises(&pit, 1100, 5000), 39);
    command(0x30);
    count(0, 100);
    assert_int_equal(i8254_rises(&pit, now, 1099), 0);
    assert_int_equal(i8254_rises(&pit, now, 9999), 1);
    assert_int_equal(i8254_rises(&pit, 1100, 9999), 0);
    command(0x38); /* a strobe is low for a tick */
    count(0, 100);
    assert_int_equal(i8254_rises(&pit, now, 1100), 0);
    assert_int_equal(i8254_rises(&pit, now, 1101), 1);
}

static void saved_state_goes_on(void **state)
{
    u8 buffer[256];
    struct codec w = codec_saver(buffer, sizeof(buffer));

    (void)state;
    command(0x34);
    count(0, 100);
    command(0xB0);
    i8254_write(&pit, 2, 0x34, now); /* half a count */
    i8254_state(&pit, &w);
    assert_int_equal(w.err, 0);
    i8254_reset(&pit);
    struct codec r = codec_restorer(buffer, w.at);

    i8254_state(&pit, &r);
    assert_int_equal(r.err, 0);
    assert_int_equal(i8254_next_rise(&pit, 5555), 5600);
    i8254_write(&pit, 2, 0x12, now);
    assert_int_equal(read16(2), 0x1234);
    for (size_t len = 0; len < w.at; len++) {
        r = codec_restorer(buffer, len);
        i8254_state(&pit, &r);
        assert_int_equal(r.err, -EINVAL);
    }
    memset(buffer + 9, 0, 4); /* a count of 0 would divide by it */
    r = codec_restorer(buffer, w.at);
    i8254_state(&pit, &r);
    assert_int_equal(r.err, -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(idle_after_reset, setup),
        cmocka_unit_test_setup(mode0_ends_once, setup),
        cmocka_unit_test_setup(mode2_is_periodic, setup),
        cmocka_unit_test_setup(mode3_is_square, setup),
        cmocka_unit_test_setup(mode4_strobes, setup),
        cmocka_unit_test_setup(latch_holds, setup),
        cmocka_unit_test_setup(read_back, setup),
        cmocka_unit_test_setup(single_bytes_and_bcd, setup),
        cmocka_unit_test_setup(gate2_stops_and_resumes, setup),
        cmocka_unit_test_setup(gate2_triggers_mode1, setup),
        cmocka_unit_test_setup(refresh_toggles, setup),
        cmocka_unit_test_setup(rises_are_counted, setup),
        cmocka_unit_test_setup(saved_state_goes_on, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Steal time: what a vcpu has waited for its turn is in the guest's memory, wherever it waited, and nothing else is. */
/* sources: dev/steal_time.c dev/codec.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c */
/* sources: mm/guest_missing.c */
/* sources: tests/unit/ram.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/steal_time.h"
#include "host/bits.h"
#include "dev/codec.h"
#include "mm/guest_mem.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

#define AREA 0x3040
#define RAM MiB(4)

static struct npt npt;
static struct guest_mem mem;
static struct steal_time steal;

static int setup(void **unused)
{
    (void)unused;
    ram_init_full(MiB(64));
    memset(&npt, 0, sizeof(npt));
    memset(&mem, 0, sizeof(mem));
    steal = (struct steal_time){ 0 };
    assert_int_equal(npt_init(&npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, RAM), 0);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    guest_mem_fini(&mem);
    npt_fini(&npt);
    ram_fini();
    return 0;
}

static struct kvm_steal_time told(void)
{
    struct kvm_steal_time area;

    assert_int_equal(guest_read(&mem, AREA, &area, sizeof(area)), 0);
    assert_int_equal(area.version % 2, 0);
    return area;
}

static void test_addresses(void **unused)
{
    static const u64 refused[] = { AREA | 3, AREA | 0x21, RAM | 1, (RAM - 32) | 1, ~63ULL | 1, 1ULL << 63 | 1 };

    (void)unused;
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
        assert_int_equal(steal_time_write_msr(&steal, &mem, refused[i]), -EINVAL);
    assert_int_equal(steal.msr, 0);
    assert_int_equal(steal_time_write_msr(&steal, &mem, (RAM - 64) | 1), 0);
    assert_int_equal(steal_time_write_msr(&steal, &mem, ~63ULL), 0); /* off: wherever */
}

static void test_waiting_counts(void **unused)
{
    u32 junk = 7;

    (void)unused;
    guest_write(&mem, AREA + offsetof(struct kvm_steal_time, version), &junk, sizeof(junk));
    steal_time_waits(&steal, 100);
    steal_time_goes_on(&steal, &mem, 200); /* nobody wants to know yet */
    assert_int_equal(steal_time_write_msr(&steal, &mem, AREA | 1), 0);
    assert_int_equal(told().version, 8);
    assert_int_equal(told().steal, 0);
    steal_time_waits(&steal, 1000);
    steal_time_waits(&steal, 5000); /* it waits already */
    steal_time_goes_on(&steal, &mem, 7000);
    steal_time_goes_on(&steal, &mem, 9000); /* it did not wait */
    assert_int_equal(told().steal, 6000);
    steal_time_waits(&steal, 10000);
    steal_time_goes_on(&steal, &mem, 10500);
    assert_int_equal(told().steal, 6500);
    assert_int_equal(told().preempted, 0);
}

static void test_waiting_moves(void **unused)
{
    u8 bytes[64];
    struct codec w = codec_saver(bytes, sizeof(bytes));
    struct codec r = codec_restorer(bytes, 0);

    (void)unused;
    assert_int_equal(steal_time_write_msr(&steal, &mem, AREA | 1), 0);
    steal_time_waits(&steal, 1000);
    steal_time_state(&steal, &mem, 1000, &w);
    steal = (struct steal_time){ 0 };
    for (; r.len < w.at; r = codec_restorer(bytes, r.len + 1)) {
        steal_time_state(&steal, &mem, 1000, &r);
        assert_int_equal(r.err, -EINVAL);
    }
    steal_time_state(&steal, &mem, 999, &r);
    assert_int_equal(r.err, 0); /* of a check: the time was saved before */
    steal_time_goes_on(&steal, &mem, 1099);
    assert_int_equal(told().steal, 100);
    r.at = 0;
    steal_time_state(&steal, &mem, 1000, &r);
    assert_int_equal(r.err, 0);
    steal_time_goes_on(&steal, &mem, 1000 + 45000000000ULL);
    assert_int_equal(told().steal, 45000000100ULL);
    bytes[0] |= 2; /* a reserved bit */
    r.at = 0;
    steal_time_state(&steal, &mem, 1000, &r);
    assert_int_equal(r.err, -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_moves, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

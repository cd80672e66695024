/* SPDX-License-Identifier: BSD-2-Clause */
/* The paravirtual end of interrupt: when a guest is spared its EOI, and that the LAPIC gets it nevertheless. */
/* sources: dev/pv_eoi.c dev/lapic.c dev/lapic_timer.c dev/codec.c mm/guest_mem.c mm/dirty.c mm/npt.c */
/* sources: mm/guest_missing.c */
/* sources: mm/npt_log.c host/frame.c tests/unit/ram.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/lapic.h"
#include "dev/pv_eoi.h"
#include "host/bits.h"
#include "dev/codec.h"
#include "mm/guest_missing.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

#define WORD 0x1004
#define VECTOR 0x41
#define HIGHER 0x99
#define LOWER 0x31

static struct npt npt;
static struct guest_mem mem;
static struct lapic lapic;
static struct pv_eoi pv_eoi;

static u64 fake_now(void *ctx)
{
    (void)ctx;
    return 0;
}

static void fake_send(void *ctx, const struct lapic_ipi *ipi)
{
    (void)ctx;
    (void)ipi;
}

static void fake_eoi(void *ctx, u8 vector)
{
    (void)ctx;
    (void)vector;
}

static const struct lapic_env env = { .now = fake_now, .send = fake_send, .eoi = fake_eoi };

static int setup(void **unused)
{
    (void)unused;
    ram_init_full(MiB(64));
    memset(&npt, 0, sizeof(npt));
    memset(&mem, 0, sizeof(mem));
    assert_int_equal(npt_init(&npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(4)), 0);
    lapic_init(&lapic, 0, true, 1000000, &env, NULL);
    lapic_mmio_write(&lapic, LAPIC_SVR, 4, LAPIC_SVR_ENABLE | 0xFF);
    pv_eoi = (struct pv_eoi){ 0 };
    assert_int_equal(pv_eoi_write_msr(&pv_eoi, &mem, WORD | 1), 0);
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

static u32 word(void)
{
    u32 value;

    assert_int_equal(guest_read(&mem, WORD, &value, sizeof(value)), 0);
    return value;
}

static void word_set(u32 value)
{
    assert_int_equal(guest_write(&mem, WORD, &value, sizeof(value)), 0);
}

static void take(u8 vector, bool level)
{
    lapic_accept(&lapic, vector, level);
    assert_int_equal(lapic_pending(&lapic), vector);
    lapic_ack(&lapic, vector);
    pv_eoi_offer(&pv_eoi, &mem, &lapic);
}

/* What Linux does at the end of an interrupt. */
static void guest_eoi(void)
{
    if (word() & 1)
        word_set(0);
    else
        lapic_eoi(&lapic);
}

static bool in_service(void)
{
    return lapic_mmio_read(&lapic, LAPIC_PPR, 4) != 0;
}

static void test_an_eoi_is_a_bit_in_memory(void **unused)
{
    (void)unused;
    take(VECTOR, false);
    assert_int_equal(word(), 1);
    guest_eoi();
    assert_int_equal(word(), 0);
    pv_eoi_settle(&pv_eoi, &mem, &lapic, false);
    assert_false(in_service());
    /* Once only: the next interrupt stays in service until its own EOI. */
    take(VECTOR, false);
    pv_eoi_settle(&pv_eoi, &mem, &lapic, false);
    assert_true(in_service());
}

/* With another interrupt waiting, the EOI must be seen when it happens. */
static void test_what_waits_takes_the_offer_back(void **unused)
{
    (void)unused;
    take(VECTOR, false);
    lapic_accept(&lapic, LOWER, false);
    pv_eoi_settle(&pv_eoi, &mem, &lapic, false);
    assert_int_equal(word(), 0);
    assert_int_equal(lapic_pending(&lapic), -1);
    guest_eoi(); /* the register */
    assert_int_equal(lapic_pending(&lapic), LOWER);
}

static void test_nested_interrupts_end_in_order(void **unused)
{
    (void)unused;
    take(VECTOR, false);
    lapic_accept(&lapic, HIGHER, false);
    pv_eoi_settle(&pv_eoi, &mem, &lapic, false);
    take(HIGHER, false);
    assert_int_equal(word(), 0); /* two are in service */
    guest_eoi();
    assert_int_equal(lapic_mmio_read(&lapic, LAPIC_PPR, 4), VECTOR & 0xF0);
    guest_eoi();
    assert_false(in_service());
}

static void test_a_level_is_not_offered(void **unused)
{
    (void)unused;
    take(VECTOR, true);
    assert_int_equal(word(), 0);
    assert_false(pv_eoi.offered);
}

static void test_withdrawn_before_the_register_is_written(void **unused)
{
    (void)unused;
    take(VECTOR, false);
    pv_eoi_settle(&pv_eoi, &mem, &lapic, true);
    assert_int_equal(word(), 0);
    assert_true(in_service());
}

static void test_nothing_is_offered_unasked(void **unused)
{
    (void)unused;
    assert_int_equal(pv_eoi_write_msr(&pv_eoi, &mem, 0), 0);
    take(VECTOR, false);
    assert_int_equal(word(), 0);
}

static void test_bad_addresses_are_refused(void **unused)
{
    (void)unused;
    assert_int_equal(pv_eoi_write_msr(&pv_eoi, &mem, MiB(4) | 1), -EINVAL);
    assert_int_equal(pv_eoi_write_msr(&pv_eoi, &mem, ~0ULL), -EINVAL);
    assert_int_equal(pv_eoi_write_msr(&pv_eoi, &mem, WORD | 3), -EINVAL);
    assert_int_equal(pv_eoi.msr, WORD | 1);
}

/* A guest that moves between the interrupt and its EOI: the offer moves with its memory. */
static void test_state_moves(void **unused)
{
    struct pv_eoi copy = { 0 };
    u8 buf[16], again[16];
    struct codec w = codec_saver(buf, sizeof(buf)), w2 = codec_saver(again, sizeof(again));
    struct codec r;

    (void)unused;
    take(VECTOR, false);
    pv_eoi_state(&pv_eoi, &mem, &w);
    assert_int_equal(word(), 1);
    for (size_t len = 0; len < w.at; len++) {
        r = codec_restorer(buf, len);
        pv_eoi_state(&copy, &mem, &r);
        assert_int_equal(r.err, -EINVAL);
    }
    r = codec_restorer(buf, w.at);
    pv_eoi_state(&copy, &mem, &r);
    assert_int_equal(r.err, 0);
    pv_eoi_state(&copy, &mem, &w2);
    assert_int_equal(w2.at, w.at);
    assert_memory_equal(buf, again, w.at);
    guest_eoi();
    pv_eoi_settle(&copy, &mem, &lapic, false);
    assert_false(in_service());
    memset(buf, 0xFF, sizeof(buf));
    r = codec_restorer(buf, w.at);
    pv_eoi_state(&copy, &mem, &r);
    assert_int_equal(r.err, -EINVAL);
}

/* The guest has not ended an interrupt just because nobody can see whether it has. */
static void test_a_missing_word_ends_nothing(void **state)
{
    (void)state;
    take(VECTOR, false);
    assert_int_equal(guest_mem_expect(&mem, 0, MiB(4) / PAGE_SIZE), 0);
    pv_eoi_settle(&pv_eoi, &mem, &lapic, false);
    assert_true(in_service());
    assert_int_equal(guest_mem_supply(&mem, WORD / PAGE_SIZE, NULL), 0);
    pv_eoi_settle(&pv_eoi, &mem, &lapic, false);
    assert_false(in_service());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_eoi_is_a_bit_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_waits_takes_the_offer_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nested_interrupts_end_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_level_is_not_offered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_withdrawn_before_the_register_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_offered_unasked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_addresses_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_missing_word_ends_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

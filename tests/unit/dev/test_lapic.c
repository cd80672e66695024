/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/lapic.c dev/lapic_timer.c dev/codec.c */
/* The local APIC under a clock that the test turns: priorities, modes, messages, timer, saved state. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/msr_index.h"
#include "dev/lapic.h"
#include "dev/codec.h"

#define TSC_KHZ 3000000ULL /* three ticks a nanosecond */
#define TICKS(ns) (3 * (ns))

static struct lapic lapic;
static u64 clock_tsc;
static struct lapic_ipi last_ipi;
static unsigned ipis;
static int last_eoi;
static u64 tsc_offset; /* of the guest */

static u64 fake_now(void *ctx)
{
    (void)ctx;
    return clock_tsc;
}

static u64 fake_deadline(void *ctx, u64 tsc)
{
    u64 at = tsc - tsc_offset;

    (void)ctx;
    return tsc == ~0ULL ? LAPIC_NEVER : at;
}

static void fake_send(void *ctx, const struct lapic_ipi *ipi)
{
    assert_ptr_equal(ctx, &lapic);
    last_ipi = *ipi;
    ipis++;
}

static void fake_eoi(void *ctx, u8 vector)
{
    (void)ctx;
    last_eoi = vector;
}

static const struct lapic_env env = { .now = fake_now, .deadline = fake_deadline, .send = fake_send, .eoi = fake_eoi };

static u32 in(u32 offset)
{
    return lapic_mmio_read(&lapic, offset, 4);
}

static void out(u32 offset, u32 value)
{
    lapic_mmio_write(&lapic, offset, 4, value);
}

static int setup(void **state)
{
    (void)state;
    clock_tsc = 1000000;
    ipis = 0;
    last_eoi = -1;
    lapic_init(&lapic, 5, true, TSC_KHZ, &env, &lapic);
    out(LAPIC_SVR, LAPIC_SVR_ENABLE | 0xFF);
    return 0;
}

static int setup_x2apic(void **state)
{
    setup(state);
    return lapic_msr_write(&lapic, MSR_APIC_BASE, LAPIC_MMIO_BASE | APIC_BASE_EN | APIC_BASE_EXTD);
}

static u64 msr_in(u32 offset)
{
    u64 value = 0;

    assert_int_equal(lapic_msr_read(&lapic, MSR_X2APIC_FIRST + offset / 16, &value), 0);
    return value;
}

static int msr_out(u32 offset, u64 value)
{
    return lapic_msr_write(&lapic, MSR_X2APIC_FIRST + offset / 16, value);
}

static void take(u8 vector)
{
    assert_int_equal(lapic_pending(&lapic), vector);
    lapic_ack(&lapic, vector);
}

static void test_power_up(void **state)
{
    u64 base;

    (void)state;
    lapic_reset(&lapic);
    assert_int_equal(in(LAPIC_ID), 5 << 24);
    assert_int_equal(in(LAPIC_VERSION), 0x50014);
    assert_int_equal(in(LAPIC_SVR), 0xFF);
    assert_int_equal(in(LAPIC_DFR), 0xFFFFFFFF);
    assert_int_equal(in(LAPIC_LVT_TIMER), LAPIC_LVT_MASKED);
    assert_int_equal(in(LAPIC_TPR), 0);
    assert_int_equal(lapic_pending(&lapic), -1);
    assert_int_equal(lapic_msr_read(&lapic, MSR_APIC_BASE, &base), 0);
    assert_int_equal(base, LAPIC_MMIO_BASE | APIC_BASE_EN | APIC_BASE_BSP);
}

static void test_odd_accesses_are_harmless(void **state)
{
    (void)state;
    assert_int_equal(lapic_mmio_read(&lapic, LAPIC_ID, 1), 0);
    assert_int_equal(lapic_mmio_read(&lapic, LAPIC_ID + 4, 4), 0);
    assert_int_equal(in(0x1000), 0);
    assert_int_equal(in(0xFFFFFFF0), 0);
    lapic_mmio_write(&lapic, LAPIC_TPR, 2, 0x40);
    lapic_mmio_write(&lapic, LAPIC_TPR + 8, 4, 0x40);
    out(0xFFFFFFF0, 0x40);
    assert_int_equal(in(LAPIC_TPR), 0);
    out(LAPIC_ID, 0); /* read-only */
    assert_int_equal(in(LAPIC_ID), 5 << 24);
}

static void test_priorities_nest(void **state)
{
    (void)state;
    assert_true(lapic_accept(&lapic, 0x41, false));
    take(0x41);
    assert_int_equal(in(LAPIC_PPR), 0x40);
    lapic_accept(&lapic, 0x45, false); /* same class: waits */
    assert_int_equal(lapic_pending(&lapic), -1);
    lapic_accept(&lapic, 0x51, false); /* higher class: nests */
    take(0x51);
    assert_int_equal(in(LAPIC_PPR), 0x50);
    assert_int_equal(in(LAPIC_ISR + 0x20), 1 << 1 | 1 << 17);
    assert_int_equal(in(LAPIC_IRR + 0x20), 1 << 5);
    out(LAPIC_EOI, 0);
    assert_int_equal(in(LAPIC_PPR), 0x40);
    assert_int_equal(lapic_pending(&lapic), -1);
    out(LAPIC_EOI, 0);
    assert_int_equal(lapic_pending(&lapic), 0x45);
}

static void test_task_priority(void **state)
{
    (void)state;
    lapic_accept(&lapic, 0x41, false);
    lapic_cr8_write(&lapic, 4);
    assert_int_equal(in(LAPIC_TPR), 0x40);
    assert_int_equal(lapic_pending(&lapic), -1);
    out(LAPIC_TPR, 0x3F);
    assert_int_equal(lapic_cr8_read(&lapic), 3);
    assert_int_equal(in(LAPIC_PPR), 0x3F);
    assert_int_equal(lapic_pending(&lapic), 0x41);
}

static void test_level_eoi_is_told(void **state)
{
    (void)state;
    lapic_accept(&lapic, 0x60, false);
    take(0x60);
    out(LAPIC_EOI, 0);
    assert_int_equal(last_eoi, -1);
    lapic_accept(&lapic, 0x61, true);
    assert_int_equal(in(LAPIC_TMR + 0x30), 1 << 1);
    take(0x61);
    out(LAPIC_EOI, 0);
    assert_int_equal(last_eoi, 0x61);
    last_eoi = -1;
    out(LAPIC_EOI, 0); /* nothing in service */
    assert_int_equal(last_eoi, -1);
}

static void test_disabled_refuses(void **state)
{
    (void)state;
    lapic_accept(&lapic, 0x50, false);
    out(LAPIC_SVR, 0xFF);
    assert_false(lapic_accept(&lapic, 0x60, false));
    assert_int_equal(lapic_pending(&lapic), 0x50); /* what was requested before stays */
    assert_true(in(LAPIC_LVT_LINT1)&LAPIC_LVT_MASKED);
    out(LAPIC_LVT_LINT1, 0x400);
    assert_int_equal(in(LAPIC_LVT_LINT1), 0x400 | LAPIC_LVT_MASKED);
    out(LAPIC_SVR, LAPIC_SVR_ENABLE);
    assert_int_equal(in(LAPIC_LVT_LINT1), 0x400 | LAPIC_LVT_MASKED);
}

static void test_errors(void **state)
{
    (void)state;
    out(LAPIC_LVT_ERROR, 0xFE);
    assert_false(lapic_accept(&lapic, 15, false));
    assert_int_equal(in(LAPIC_ESR), 0); /* not visible before a write */
    out(LAPIC_ESR, 0);
    assert_int_equal(in(LAPIC_ESR), LAPIC_ESR_RECEIVE_VECTOR);
    assert_int_equal(lapic_pending(&lapic), 0xFE);
    out(LAPIC_ICR, 3);
    in(0x40);
    out(LAPIC_ESR, 0);
    assert_int_equal(in(LAPIC_ESR), LAPIC_ESR_SEND_VECTOR | LAPIC_ESR_REGISTER);
    assert_int_equal(ipis, 0);
}

static void test_extint(void **state)
{
    (void)state;
    assert_false(lapic_passes_extint(&lapic));
    out(LAPIC_LVT_LINT0, LAPIC_EXTINT << 8);
    assert_true(lapic_passes_extint(&lapic));
    out(LAPIC_LVT_LINT0, LAPIC_EXTINT << 8 | LAPIC_LVT_MASKED);
    assert_false(lapic_passes_extint(&lapic));
    lapic_msr_write(&lapic, MSR_APIC_BASE, LAPIC_MMIO_BASE);
    assert_true(lapic_passes_extint(&lapic));
}

static void test_xapic_messages(void **state)
{
    struct lapic other;

    (void)state;
    lapic_init(&other, 7, false, TSC_KHZ, &env, &other);
    out(LAPIC_ICR_HIGH, 7u << 24);
    out(LAPIC_ICR, 0x4000 | LAPIC_FIXED << 8 | 0x31);
    assert_int_equal(ipis, 1);
    assert_int_equal(last_ipi.vector, 0x31);
    assert_int_equal(last_ipi.delivery, LAPIC_FIXED);
    assert_true(lapic_ipi_reaches(&last_ipi, &lapic, &other));
    assert_false(lapic_ipi_reaches(&last_ipi, &lapic, &lapic));
    assert_int_equal(in(LAPIC_ICR), 0x4031);

    out(LAPIC_ICR, 0x4000 | 3 << 18 | LAPIC_STARTUP << 8 | 0x9F); /* all but self */
    assert_int_equal(last_ipi.delivery, LAPIC_STARTUP);
    assert_true(lapic_ipi_reaches(&last_ipi, &lapic, &other));
    assert_false(lapic_ipi_reaches(&last_ipi, &lapic, &lapic));

    out(LAPIC_ICR_HIGH, 0xFFu << 24);
    out(LAPIC_ICR, 0x4000 | LAPIC_NMI << 8);
    assert_int_equal(last_ipi.destination, LAPIC_BROADCAST);
    assert_true(lapic_ipi_reaches(&last_ipi, &lapic, &lapic));

    ipis = 0;
    out(LAPIC_ICR, 0x8000 | LAPIC_INIT << 8); /* level de-assert */
    assert_int_equal(ipis, 0);
}

static void test_xapic_logical(void **state)
{
    (void)state;
    out(LAPIC_LDR, 0x22000000);
    out(LAPIC_ICR_HIGH, 0x02000000);
    out(LAPIC_ICR, 0x4831);
    assert_true(lapic_ipi_reaches(&last_ipi, &lapic, &lapic)); /* flat: any bit in common */
    out(LAPIC_DFR, 0);
    assert_false(lapic_ipi_reaches(&last_ipi, &lapic, &lapic)); /* cluster 0 is not cluster 2 */
    out(LAPIC_ICR_HIGH, 0x23000000);
    out(LAPIC_ICR, 0x4831);
    assert_true(lapic_ipi_reaches(&last_ipi, &lapic, &lapic));
}

static void test_mode_transitions(void **state)
{
    const u64 off = LAPIC_MMIO_BASE, xapic = off | APIC_BASE_EN, x2apic = xapic | APIC_BASE_EXTD;
    u64 value;

    (void)state;
    assert_int_equal(lapic_msr_write(&lapic, MSR_APIC_BASE, off | APIC_BASE_EXTD), -EINVAL);
    assert_int_equal(lapic_msr_write(&lapic, MSR_APIC_BASE, xapic | 1), -EINVAL);
    assert_int_equal(lapic_msr_write(&lapic, MSR_APIC_BASE, 0xFED00000 | APIC_BASE_EN), -EINVAL);
    assert_int_equal(lapic_msr_read(&lapic, MSR_X2APIC_FIRST + LAPIC_ID / 16, &value), -EINVAL);

    lapic_cr8_write(&lapic, 7);
    assert_int_equal(lapic_msr_write(&lapic, MSR_APIC_BASE, x2apic), 0);
    assert_int_equal(msr_in(LAPIC_TPR), 0x70);  /* state goes along */
    assert_int_equal(in(LAPIC_ID), 0xFFFFFFFF); /* the page is gone */
    assert_int_equal(lapic_msr_write(&lapic, MSR_APIC_BASE, xapic), -EINVAL);
    assert_int_equal(lapic_msr_write(&lapic, MSR_APIC_BASE, off), 0);
    assert_int_equal(lapic_msr_write(&lapic, MSR_APIC_BASE, x2apic), -EINVAL);
    assert_int_equal(lapic_msr_write(&lapic, MSR_APIC_BASE, xapic), 0);
    assert_int_equal(in(LAPIC_TPR), 0); /* disabling forgot it */
}

static void test_init_keeps_the_mode(void **state)
{
    (void)state;
    lapic_cr8_write(&lapic, 7);
    lapic_accept(&lapic, 0x99, false);
    lapic_receive_init(&lapic);
    assert_int_equal(msr_in(LAPIC_ID), 5);
    assert_int_equal(msr_in(LAPIC_TPR), 0);
    assert_int_equal(lapic_pending(&lapic), -1);
}

static void test_x2apic_registers(void **state)
{
    u64 value;

    (void)state;
    assert_int_equal(msr_in(LAPIC_ID), 5);
    assert_int_equal(msr_in(LAPIC_LDR), 1 << 5);
    assert_int_equal(msr_out(LAPIC_TPR, 0x55), 0);
    assert_int_equal(msr_in(LAPIC_TPR), 0x55);

    assert_int_equal(msr_out(LAPIC_TPR, 0x100), -EINVAL);
    assert_int_equal(msr_out(LAPIC_TPR, 1ULL << 32), -EINVAL);
    assert_int_equal(msr_out(LAPIC_EOI, 1), -EINVAL);
    assert_int_equal(msr_out(LAPIC_EOI, 0), 0);
    assert_int_equal(msr_out(LAPIC_ESR, 1), -EINVAL);
    assert_int_equal(msr_out(LAPIC_SVR, 0x1000), -EINVAL);
    assert_int_equal(msr_out(LAPIC_LVT_TIMER, 0x80000), -EINVAL);
    assert_int_equal(msr_out(LAPIC_DIVIDE, 4), -EINVAL);
    assert_int_equal(msr_out(LAPIC_ICR, 0x2000), -EINVAL);
    assert_int_equal(msr_out(LAPIC_ID, 0), -EINVAL);
    assert_int_equal(msr_out(LAPIC_LDR, 0), -EINVAL);
    assert_int_equal(msr_out(LAPIC_ICR_HIGH, 0), -EINVAL);
    assert_int_equal(msr_out(LAPIC_CURRENT_COUNT, 0), -EINVAL);
    assert_int_equal(lapic_msr_read(&lapic, 0x80B, &value), -EINVAL); /* EOI */
    assert_int_equal(lapic_msr_read(&lapic, 0x80E, &value), -EINVAL); /* DFR */
    assert_int_equal(lapic_msr_read(&lapic, 0x82F, &value), -EINVAL); /* CMCI */
    assert_int_equal(lapic_msr_read(&lapic, 0x83F, &value), -EINVAL); /* self IPI */
    assert_int_equal(lapic_msr_read(&lapic, 0x840, &value), -EINVAL);
    assert_int_equal(lapic_msr_read(&lapic, MSR_X2APIC_LAST, &value), -EINVAL);
}

static void test_x2apic_messages(void **state)
{
    struct lapic target;

    (void)state;
    assert_int_equal(msr_out(LAPIC_ICR, 0x1234500000000 | 0x4031), 0);
    assert_int_equal(last_ipi.destination, 0x12345);
    assert_int_equal(msr_in(LAPIC_ICR), 0x1234500004031);
    lapic_init(&target, 0x23, false, TSC_KHZ, &env, &target);
    assert_int_equal(lapic_msr_write(&target, MSR_APIC_BASE, LAPIC_MMIO_BASE | APIC_BASE_EN | APIC_BASE_EXTD), 0);
    msr_out(LAPIC_ICR, 0x0002000800004831); /* logical: cluster 2, member 3 */
    assert_true(lapic_ipi_reaches(&last_ipi, &lapic, &target));
    msr_out(LAPIC_ICR, 0x0003000800004831);
    assert_false(lapic_ipi_reaches(&last_ipi, &lapic, &target));
    msr_out(LAPIC_ICR, 0xFFFFFFFF00004031);
    assert_true(lapic_ipi_reaches(&last_ipi, &lapic, &target));

    msr_out(LAPIC_SELF_IPI, 0x77);
    assert_int_equal(lapic_pending(&lapic), 0x77);
}

static void test_one_shot(void **state)
{
    (void)state;
    out(LAPIC_LVT_TIMER, 0xEC);
    out(LAPIC_DIVIDE, 0x3); /* by 16 */
    out(LAPIC_INITIAL_COUNT, 1000);
    assert_int_equal(in(LAPIC_CURRENT_COUNT), 1000);
    assert_int_equal(lapic_deadline(&lapic), 1000000 + TICKS(16000));
    clock_tsc += TICKS(4000);
    assert_int_equal(in(LAPIC_CURRENT_COUNT), 750);
    lapic_expire(&lapic, clock_tsc);
    assert_int_equal(lapic_pending(&lapic), -1);
    clock_tsc += TICKS(12000);
    lapic_expire(&lapic, clock_tsc);
    take(0xEC);
    assert_int_equal(in(LAPIC_CURRENT_COUNT), 0);
    assert_int_equal(lapic_deadline(&lapic), LAPIC_NEVER);
    assert_int_equal(in(LAPIC_INITIAL_COUNT), 1000);
}

static void test_divisors(void **state)
{
    static const u8 code[] = { 0xB, 0, 1, 2, 3, 8, 9, 0xA };

    (void)state;
    out(LAPIC_LVT_TIMER, 0xEC);
    for (unsigned i = 0; i < sizeof(code); i++) {
        out(LAPIC_DIVIDE, code[i]);
        out(LAPIC_INITIAL_COUNT, 1000);
        assert_int_equal(lapic_deadline(&lapic) - clock_tsc, TICKS(1000ULL << i));
    }
    out(LAPIC_INITIAL_COUNT, 0xFFFFFFFF); /* the longest */
    assert_int_equal(lapic_deadline(&lapic) - clock_tsc, TICKS(0xFFFFFFFFULL << 7));
    clock_tsc += TICKS(640);
    out(LAPIC_DIVIDE, 0xB); /* while running: the count goes on, faster */
    assert_int_equal(in(LAPIC_CURRENT_COUNT), 0xFFFFFFFF - 5);
    out(LAPIC_INITIAL_COUNT, 0);
    assert_int_equal(lapic_deadline(&lapic), LAPIC_NEVER);
}

static void test_periodic_does_not_drift(void **state)
{
    u64 first;

    (void)state;
    out(LAPIC_LVT_TIMER, 0xEC | LAPIC_TIMER_PERIODIC);
    out(LAPIC_DIVIDE, 0xB);
    out(LAPIC_INITIAL_COUNT, 100000);
    first = lapic_deadline(&lapic);
    for (unsigned n = 0; n < 10; n++) {
        assert_int_equal(lapic_deadline(&lapic), first + n * TICKS(100000));
        clock_tsc = lapic_deadline(&lapic) + 777 * n; /* the host is late */
        lapic_expire(&lapic, clock_tsc);
        take(0xEC);
        out(LAPIC_EOI, 0);
    }
    clock_tsc = first + TICKS(2050000); /* half past the twentieth: one interrupt for all that were missed */
    assert_int_equal(in(LAPIC_CURRENT_COUNT), 50000);
    assert_int_equal(lapic_deadline(&lapic), first + TICKS(2100000));
    take(0xEC);
}

static void test_tiny_period_is_bounded(void **state)
{
    (void)state;
    out(LAPIC_LVT_TIMER, 0xEC | LAPIC_TIMER_PERIODIC);
    out(LAPIC_INITIAL_COUNT, 1);
    clock_tsc += TICKS(100);
    lapic_expire(&lapic, clock_tsc);
    assert_true(lapic_deadline(&lapic) >= clock_tsc + TICKS(5000));
}

static void test_masked_timer(void **state)
{
    (void)state;
    out(LAPIC_LVT_TIMER, 0xEC | LAPIC_LVT_MASKED);
    out(LAPIC_INITIAL_COUNT, 1000);
    assert_int_equal(lapic_deadline(&lapic), LAPIC_NEVER);
    clock_tsc += TICKS(1000);
    assert_int_equal(in(LAPIC_CURRENT_COUNT), 500); /* it counts all the same; divide is 2 at power-up */
    clock_tsc += TICKS(5000);
    out(LAPIC_LVT_TIMER, 0xEC); /* what came due while masked is lost */
    lapic_expire(&lapic, clock_tsc);
    assert_int_equal(lapic_pending(&lapic), -1);
}

static void test_tsc_deadline(void **state)
{
    u64 value;

    (void)state;
    tsc_offset = -(u64)600000;                         /* guest TSC is 400000 now */
    lapic_msr_write(&lapic, MSR_TSC_DEADLINE, 500000); /* ignored: not in that mode */
    out(LAPIC_LVT_TIMER, 0xEC | LAPIC_TIMER_DEADLINE);
    assert_int_equal(lapic_deadline(&lapic), LAPIC_NEVER);
    lapic_msr_write(&lapic, MSR_TSC_DEADLINE, 500000);
    assert_int_equal(lapic_deadline(&lapic), 1100000);
    out(LAPIC_DIVIDE, 3);        /* no concern of this mode */
    out(LAPIC_INITIAL_COUNT, 5); /* ignored in it */
    assert_int_equal(in(LAPIC_INITIAL_COUNT), 0);
    assert_int_equal(in(LAPIC_CURRENT_COUNT), 0);
    assert_int_equal(lapic_deadline(&lapic), 1100000);
    tsc_offset -= 1000; /* the guest sets its TSC back: the deadline comes later */
    lapic_tsc_changed(&lapic);
    assert_int_equal(lapic_deadline(&lapic), 1101000);
    tsc_offset += 1000;
    lapic_shift(&lapic, 12345); /* on another host: by the offset alone */
    assert_int_equal(lapic_deadline(&lapic), 1100000);
    clock_tsc = 1099999;
    lapic_expire(&lapic, clock_tsc);
    assert_int_equal(lapic_pending(&lapic), -1);
    clock_tsc = 1100000;
    lapic_expire(&lapic, clock_tsc);
    take(0xEC);
    lapic_msr_read(&lapic, MSR_TSC_DEADLINE, &value);
    assert_int_equal(value, 0);

    lapic_msr_write(&lapic, MSR_TSC_DEADLINE, 1); /* long past: at once */
    assert_true(lapic_deadline(&lapic) <= clock_tsc);
    lapic_msr_write(&lapic, MSR_TSC_DEADLINE, ~0ULL); /* the end of time does not wrap */
    assert_int_equal(lapic_deadline(&lapic), LAPIC_NEVER);
    lapic_msr_write(&lapic, MSR_TSC_DEADLINE, 5000000);
    out(LAPIC_LVT_TIMER, 0xEC); /* leaving the mode disarms it */
    out(LAPIC_LVT_TIMER, 0xEC | LAPIC_TIMER_DEADLINE);
    assert_int_equal(lapic_deadline(&lapic), LAPIC_NEVER);
}

static void test_save_restore(void **state)
{
    struct lapic copy;
    struct codec w;
    struct codec r;
    u8 buf[512];

    (void)state;
    w = codec_saver(buf, sizeof(buf));
    lapic_accept(&lapic, 0x41, true);
    take(0x41);
    lapic_accept(&lapic, 0x99, false);
    out(LAPIC_LDR, 0x20000000);
    out(LAPIC_ICR_HIGH, 3u << 24);
    out(LAPIC_LVT_TIMER, 0xEC | LAPIC_TIMER_PERIODIC);
    out(LAPIC_INITIAL_COUNT, 100000);
    clock_tsc += TICKS(50000);
    lapic_state(&lapic, &w);
    assert_int_equal(w.err, 0);

    clock_tsc = 77; /* another machine, of half the frequency */
    lapic_init(&copy, 5, true, TSC_KHZ / 2, &env, &copy);
    r = codec_restorer(buf, w.at);
    lapic_state(&copy, &r);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.at, r.len);
    assert_int_equal(lapic_deadline(&copy), 77 + TICKS(150000) / 2);
    assert_int_equal(lapic_pending(&copy), 0x99);
    assert_int_equal(lapic_mmio_read(&copy, LAPIC_PPR, 4), 0x40);
    assert_int_equal(lapic_mmio_read(&copy, LAPIC_LDR, 4), 0x20000000);
    assert_int_equal(lapic_mmio_read(&copy, LAPIC_ICR_HIGH, 4), 3u << 24);
    assert_int_equal(lapic_mmio_read(&copy, LAPIC_CURRENT_COUNT, 4), 75000);
    lapic_mmio_write(&copy, LAPIC_EOI, 4, 0);
    assert_int_equal(last_eoi, 0x41);
}

static void test_restore_refuses_what_cannot_be(void **state)
{
    struct lapic before = lapic;
    struct codec w;
    u8 buf[512], hostile[512];

    (void)state;
    w = codec_saver(buf, sizeof(buf));
    lapic_state(&lapic, &w);
    for (size_t len = 0; len < w.at; len++) {
        struct codec r = codec_restorer(buf, len);

        lapic_state(&lapic, &r);
        assert_int_equal(r.err, -EINVAL);
    }
    assert_memory_equal(&lapic, &before, sizeof(lapic));
    /* Any single byte changed: refused, or a chip that works on. */
    for (size_t i = 0; i < w.at; i++) {
        struct codec r = codec_restorer(hostile, w.at);

        memcpy(hostile, buf, w.at);
        hostile[i] ^= 0xFF;
        lapic_state(&lapic, &r);
        if (!r.err) {
            for (u32 offset = 0; offset < 0x400; offset += 16)
                in(offset);
            lapic_expire(&lapic, clock_tsc + 1);
            lapic_deadline(&lapic);
            out(LAPIC_EOI, 0);
        }
        lapic = before;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_power_up, setup),
        cmocka_unit_test_setup(test_odd_accesses_are_harmless, setup),
        cmocka_unit_test_setup(test_priorities_nest, setup),
        cmocka_unit_test_setup(test_task_priority, setup),
        cmocka_unit_test_setup(test_level_eoi_is_told, setup),
        cmocka_unit_test_setup(test_disabled_refuses, setup),
        cmocka_unit_test_setup(test_errors, setup),
        cmocka_unit_test_setup(test_extint, setup),
        cmocka_unit_test_setup(test_xapic_messages, setup),
        cmocka_unit_test_setup(test_xapic_logical, setup),
        cmocka_unit_test_setup(test_mode_transitions, setup),
        cmocka_unit_test_setup(test_init_keeps_the_mode, setup_x2apic),
        cmocka_unit_test_setup(test_x2apic_registers, setup_x2apic),
        cmocka_unit_test_setup(test_x2apic_messages, setup_x2apic),
        cmocka_unit_test_setup(test_one_shot, setup),
        cmocka_unit_test_setup(test_divisors, setup),
        cmocka_unit_test_setup(test_periodic_does_not_drift, setup),
        cmocka_unit_test_setup(test_tiny_period_is_bounded, setup),
        cmocka_unit_test_setup(test_masked_timer, setup),
        cmocka_unit_test_setup(test_tsc_deadline, setup),
        cmocka_unit_test_setup(test_save_restore, setup),
        cmocka_unit_test_setup(test_restore_refuses_what_cannot_be, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

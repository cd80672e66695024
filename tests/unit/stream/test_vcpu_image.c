/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/vcpu_image.c stream/vcpu_image_check.c dev/codec.c */
/* A vcpu's state: what is saved is restored, in every mode; what no processor holds is refused by name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "stream/vcpu_image.h"
#include "tests/unit/vcpu_images.h"

static size_t encode(struct vcpu_image *image, u8 *buf, size_t cap)
{
    struct codec c = codec_saver(buf, cap);

    vcpu_image_state(image, 0, &limits, &c);
    assert_int_equal(c.err, 0);
    return c.at;
}

static int decode(struct vcpu_image *image, const u8 *buf, size_t len)
{
    struct codec c = codec_restorer(buf, len);

    vcpu_image_state(image, 0, &limits, &c);
    return c.err ? c.err : c.at == c.len ? 0 : -EINVAL;
}

static void test_round_trip(void **state)
{
    void (*const modes[])(struct vcpu_image *) = { real_mode, long_mode };
    struct vcpu_image before, after;
    u8 buf[4096], again[4096];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        size_t len;

        modes[i](&before);
        assert_null(vcpu_image_check(&before, 0, &limits));
        len = encode(&before, buf, sizeof(buf));
        assert_int_equal(decode(&after, buf, len), 0);
        assert_memory_equal(after.xsave, before.xsave, sizeof(after.xsave));
        assert_memory_equal(after.regs, before.regs, sizeof(after.regs));
        assert_int_equal(after.rip, before.rip);
        assert_int_equal(after.state.seg[SEG_GS].base, before.state.seg[SEG_GS].base);
        assert_int_equal(after.state.dr7, before.state.dr7);
        assert_int_equal(after.status, before.status);
        assert_int_equal(after.nmi_blocked, before.nmi_blocked);
        assert_int_equal(after.event.vector, before.event.vector);
        assert_int_equal(after.msr[1].value, 5);
        /* Every field at once: saving what was restored gives the same bytes. */
        assert_int_equal(encode(&after, again, sizeof(again)), len);
        assert_memory_equal(buf, again, len);
    }
}

/* Every field is in the stream: a change of any byte of the image but padding changes the section. */
static void test_truncated_and_damaged(void **state)
{
    struct vcpu_image image, after;
    u8 buf[4096], bad[4096], again[4096];
    size_t len;

    (void)state;
    long_mode(&image);
    len = encode(&image, buf, sizeof(buf));
    for (size_t n = 0; n < len; n++) {
        u8 *exact = malloc(n ? n : 1);

        memcpy(exact, buf, n);
        assert_int_equal(decode(&after, exact, n), -EINVAL);
        free(exact);
    }
    /* A damaged bit is refused, or is a value that comes back as it went. */
    for (size_t bit = 0; bit < 8 * len; bit++) {
        memcpy(bad, buf, len);
        bad[bit / 8] ^= 1 << bit % 8;
        if (decode(&after, bad, len) == 0) {
            assert_null(vcpu_image_check(&after, 0, &limits));
            assert_int_equal(encode(&after, again, sizeof(again)), len);
            assert_memory_equal(again, bad, len);
        }
    }
}

#define REFUSED(change)                                        \
    do {                                                       \
        long_mode(&image);                                     \
        change;                                                \
        assert_non_null(vcpu_image_check(&image, 0, &limits)); \
    } while (0)

static void test_refused(void **state)
{
    struct vcpu_image image;

    (void)state;
    REFUSED(image.state.cr0 &= ~CR0_PE);
    REFUSED(image.state.cr0 |= BIT(33));
    REFUSED(image.state.cr0 |= CR0_NW);
    REFUSED(image.state.cr4 |= CR4_VMXE);
    REFUSED(image.state.cr4 |= CR4_PCIDE);
    REFUSED(image.state.cr4 &= ~CR4_PAE);
    REFUSED(image.state.efer |= EFER_SVME);
    REFUSED(image.state.efer &= ~EFER_LMA);
    REFUSED(image.state.cr3 |= BIT(40));
    REFUSED(image.state.seg[SEG_FS].base = BIT(47));
    REFUSED(image.state.seg[SEG_CS].attr |= SEG_DB);
    REFUSED(image.state.seg[SEG_CS].attr |= SEG_UNUSABLE);
    REFUSED(image.state.seg[SEG_CS].attr &= ~0x8u);
    REFUSED(image.state.seg[SEG_TR].attr = 0x93);
    REFUSED(image.state.gdtr.base = BIT(60));
    REFUSED(image.state.syscall.lstar = BIT(55));
    REFUSED(image.state.pat = 2);
    REFUSED(image.state.dr7 |= BIT(32));
    REFUSED(image.rip = BIT(50));
    REFUSED(image.rflags = 0);
    REFUSED(image.rflags |= RFLAGS_VM);
    REFUSED(image.shadow = 3);
    REFUSED(image.shadow = SHADOW_STI; image.rflags &= ~RFLAGS_IF);
    REFUSED(image.event.type = 7);
    REFUSED(image.event.vector = 32);
    REFUSED(image.event.vector = VECTOR_UD);
    REFUSED(image.event.vector = VECTOR_NMI; image.event.has_error = false);
    REFUSED(image.event.type = EVENT_SOFT_INTERRUPT; image.event.has_error = false);
    REFUSED(image.xcr0 = 6);
    REFUSED(image.xcr0 = 5);
    REFUSED(image.xcr0 = 0xE7);
    REFUSED(image.xsave[512] = 0x10);
    REFUSED(image.xsave[24 + 2] = 1);
    REFUSED(image.status = 3);
    REFUSED(image.status = VCPU_WAIT_SIPI);
    REFUSED(image.tsc_khz = 0);
    REFUSED(image.msr[0].index = 0x174);
}

/* A guest that its processor can't hold a feature of: AVX in use, and none here. */
static void test_missing_feature(void **state)
{
    struct vcpu_limits poor = limits;
    struct vcpu_image image, after;
    u8 buf[4096];
    struct codec c;

    (void)state;
    poor.xcr0 = XCR0_X87 | XCR0_SSE;
    memset(poor.component, 0, sizeof(poor.component));
    long_mode(&image);
    c = codec_restorer(buf, encode(&image, buf, sizeof(buf)));
    vcpu_image_state(&after, 0, &poor, &c);
    assert_int_equal(c.err, -EINVAL);
    assert_non_null(strstr(c.why, "XSAVE"));
}

/* Vector state is the policy's, whatever the host has beyond it: x87 and SSE always, the rest as it was shown. */
/* Whatever a backend finds, what it makes of that can be moved. */
static void test_every_shadow_can_move(void **state)
{
    struct vcpu_image image;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        long_mode(&image);
        image.rflags = RFLAGS_FIXED1 | (i & 4 ? RFLAGS_IF : 0);
        image.shadow = shadow_settle(i & 1, i & 2, image.rflags);
        assert_int_equal(image.shadow != SHADOW_NONE, i & 1);
        assert_null(vcpu_image_check(&image, 0, &limits));
    }
}

static void test_vector_state_of_a_policy(void **state)
{
    static const u64 policies[] = { 0, XCR0_X87 | XCR0_SSE, XCR0_X87 | XCR0_SSE | XCR0_AVX };
    struct vcpu_image image, after;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
        struct vcpu_limits here = limits;
        u64 bv = policies[i] | XCR0_X87 | XCR0_SSE;
        u8 buf[4096];
        struct codec w = codec_saver(buf, sizeof(buf)), r;

        here.xcr0 = policies[i];
        if (!policies[i])
            here.cr4 &= ~CR4_OSXSAVE;
        if (!(policies[i] & XCR0_AVX))
            here.component[2].size = 0;
        long_mode(&image);
        image.xcr0 = policies[i] | XCR0_X87;
        image.state.cr4 &= here.cr4;
        memcpy(image.xsave + 512, &bv, sizeof(bv));
        if (!(policies[i] & XCR0_AVX))
            memset(image.xsave + 576, 0, 256);
        vcpu_image_state(&image, 0, &here, &w);
        r = codec_restorer(buf, w.at);
        vcpu_image_state(&after, 0, &here, &r);
        assert_int_equal(r.err, 0);
        assert_memory_equal(after.xsave, image.xsave, sizeof(after.xsave));
        /* Of more than its policy nothing is taken. */
        after.xcr0 = bv | (bv + 1);
        assert_non_null(vcpu_image_check(&after, 0, &here));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_truncated_and_damaged),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_missing_feature),
        cmocka_unit_test(test_every_shadow_can_move),
        cmocka_unit_test(test_vector_state_of_a_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tls/seal.c tls/chacha20.c tls/chacha20_vector.c tests/unit/fake_fpu.c */
#include "tls/seal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const u8 key[SEAL_KEY] = { 1, 2, 3 }, iv[SEAL_IV] = { 4, 5, 6 };
static u8 plain[SEAL_MAX], record[SEAL_HEADER + SEAL_MAX + SEAL_TAG];

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(plain); i++)
        plain[i] = (u8)(i * 7 + (i >> 8));
    return 0;
}

static size_t make(struct seal *seal, size_t len, size_t part)
{
    seal_begin(seal);
    for (size_t at = 0; at < len; at += part)
        seal_add(seal, record + SEAL_HEADER + at, plain + at, part < len - at ? part : len - at);
    return seal_end(seal, SEAL_DATA, record, len);
}

/* Open what is in `record`, in parts. */
static int open_it(struct seal *seal, size_t part)
{
    size_t len = (size_t)seal_length(record) - SEAL_TAG;

    unseal_begin(seal, record);
    for (size_t at = 0; at < len; at += part)
        unseal_hash(seal, record + SEAL_HEADER + at, part < len - at ? part : len - at);
    if (unseal_end(seal, record + SEAL_HEADER + len))
        return -EBADMSG;
    for (size_t at = 0; at < len; at += part)
        unseal_decrypt(seal, record + SEAL_HEADER + at, part < len - at ? part : len - at);
    return 0;
}

/* However the bytes are cut on either side, they arrive. */
static void parts(void **state)
{
    static const size_t lengths[] = { 0, 1, 15, 16, 17, 63, 64, 65, 4096, SEAL_MAX };
    struct seal out, in;

    (void)state;
    seal_init(&out, key, iv, 1);
    seal_init(&in, key, iv, 1);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (size_t part = 1; part <= SEAL_MAX; part = part * 3 + 1) {
            assert_int_equal(make(&out, lengths[i], part), SEAL_HEADER + lengths[i] + SEAL_TAG);
            assert_int_equal(open_it(&in, 1460), 0);
            assert_memory_equal(record + SEAL_HEADER, plain, lengths[i]);
        }
}

/* RFC 8439, 2.8.2, has other associated data. This one was made by Python's cryptography over the same words:
 * ChaCha20Poly1305(key).encrypt(iv ^ 1, plain[:20], seq 1, 17 03 03 00 14). */
static void known(void **state)
{
    static const u8 right[] = { 0x17, 0x03, 0x03, 0x00, 0x24, 0x3c, 0x25, 0xfa, 0x2b, 0xab, 0x1f, 0x90, 0xc5, 0xcd,
                                0x6f, 0x29, 0x2b, 0xd1, 0x6c, 0x31, 0x17, 0xea, 0xa7, 0xd3, 0x12, 0xf3, 0xe0, 0x9a,
                                0xe4, 0x8d, 0xd3, 0x69, 0x66, 0xa2, 0x12, 0x26, 0xd4, 0xb2, 0xe2, 0x1f, 0x70 };
    struct seal out;

    (void)state;
    seal_init(&out, key, iv, 1);
    assert_int_equal(make(&out, 20, 20), sizeof(right));
    assert_memory_equal(record, right, sizeof(right));
}

/* A record that was changed anywhere, that comes again, too early or behind a gap is none. */
static void forged(void **state)
{
    struct seal out, in;
    size_t len;

    (void)state;
    seal_init(&out, key, iv, 1);
    len = make(&out, 100, 100);
    for (size_t at = 0; at < len; at++) {
        if (at >= 1 && at < SEAL_HEADER)
            continue; /* version and length: of another form, or of another record */
        seal_init(&in, key, iv, 1);
        record[at] ^= 0x10;
        if (seal_length(record) > 0)
            assert_int_equal(open_it(&in, 1460), -EBADMSG);
        record[at] ^= 0x10;
    }
    seal_init(&in, key, iv, 0);
    assert_int_equal(open_it(&in, 1460), -EBADMSG);
    seal_init(&in, key, iv, 2);
    assert_int_equal(open_it(&in, 1460), -EBADMSG);
    seal_init(&in, key, iv, 1);
    assert_int_equal(open_it(&in, 1460), 0);
    assert_int_equal(open_it(&in, 1460), -EBADMSG);
}

static void headers(void **state)
{
    static const u8 bad[][SEAL_HEADER] = {
        { 22, 3, 3, 0, 32 },                           /* a handshake: there is no second one */
        { 20, 3, 3, 0, 32 },                           /* ChangeCipherSpec */
        { 24, 3, 3, 0, 32 },                           /* heartbeat */
        { 23, 3, 1, 0, 32 },                           /* TLS 1.0 */
        { 23, 3, 4, 0, 32 },      { 23, 3, 3, 0, 15 }, /* no room for a tag */
        { 23, 3, 3, 0x40, 0x11 },                      /* too long */
    };
    static const u8 good[SEAL_HEADER] = { 23, 3, 3, 0x40, 0x10 };

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(seal_length(bad[i]), -EPROTO);
    assert_int_equal(seal_length(good), SEAL_MAX + SEAL_TAG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),
        cmocka_unit_test(known),
        cmocka_unit_test(forged),
        cmocka_unit_test(headers),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MAC comes first in time (its key is the keystream's first block), but covers the length of the record before its
 * ciphertext. So a record that is made is encrypted as its bytes come, and authenticated when it ends; one that is
 * opened is authenticated as a whole before anything of it is decrypted.
 */
#include "tls/seal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <mbedtls/constant_time.h>
#include <mbedtls/poly1305.h>

#include "tls/wipe.h"

#define AAD 13 /* sequence number, type, version, length */
#define MAC_BLOCK 16
#define VERSION 0x0303 /* TLS 1.2 */

static_assert(sizeof(mbedtls_poly1305_context) <= sizeof(((struct seal *)0)->mac), "it fits");

static mbedtls_poly1305_context *mac_of(struct seal *seal)
{
    return (mbedtls_poly1305_context *)seal->mac;
}

static void put_be(u8 *to, u64 value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (u8)(value >> 8 * (bytes - 1 - i));
}

void seal_init(struct seal *seal, const u8 key[SEAL_KEY], const u8 iv[SEAL_IV], u64 seq)
{
    memset(seal, 0, sizeof(*seal));
    memcpy(seal->key, key, SEAL_KEY);
    memcpy(seal->iv, iv, SEAL_IV);
    seal->seq = seq;
    mbedtls_poly1305_init(mac_of(seal));
}

void seal_wipe(struct seal *seal)
{
    wipe(seal, sizeof(*seal));
}

/* The keystream of this record from its second block on, and the MAC's key, which the first one begins with (RFC
 * 8439, 2.6). */
static void start(struct seal *seal)
{
    u8 nonce[SEAL_IV], counter[8], first[CHACHA20_BLOCK] = { 0 };

    memcpy(nonce, seal->iv, SEAL_IV);
    put_be(counter, seal->seq, sizeof(counter));
    for (unsigned i = 0; i < sizeof(counter); i++)
        nonce[SEAL_IV - sizeof(counter) + i] ^= counter[i];
    chacha20_begin(&seal->cipher, seal->key, nonce);
    chacha20_crypt(&seal->cipher, first, first, sizeof(first));
    mbedtls_poly1305_starts(mac_of(seal), first);
    wipe(first, sizeof(first));
}

static void pad(struct seal *seal, size_t len)
{
    static const u8 zeros[MAC_BLOCK];

    if (len % MAC_BLOCK)
        mbedtls_poly1305_update(mac_of(seal), zeros, MAC_BLOCK - len % MAC_BLOCK);
}

/* What the MAC covers before the ciphertext. */
static void hash_header(struct seal *seal, u8 type, size_t len)
{
    u8 aad[AAD];

    put_be(aad, seal->seq, 8);
    aad[8] = type;
    put_be(aad + 9, VERSION, 2);
    put_be(aad + 11, len, 2);
    mbedtls_poly1305_update(mac_of(seal), aad, sizeof(aad));
    pad(seal, sizeof(aad));
}

static void tag_of(struct seal *seal, size_t len, u8 tag[SEAL_TAG])
{
    u64 lengths[2] = { AAD, len }; /* little-endian, as we are */

    pad(seal, len);
    mbedtls_poly1305_update(mac_of(seal), (const u8 *)lengths, sizeof(lengths));
    mbedtls_poly1305_finish(mac_of(seal), tag);
    seal->seq++;
}

void seal_begin(struct seal *seal)
{
    start(seal);
}

void seal_add(struct seal *seal, u8 *to, const void *bytes, size_t len)
{
    chacha20_crypt(&seal->cipher, to, bytes, len);
}

size_t seal_end(struct seal *seal, enum seal_type type, u8 *record, size_t len)
{
    record[0] = (u8)type;
    put_be(record + 1, VERSION, 2);
    put_be(record + 3, len + SEAL_TAG, 2);
    hash_header(seal, (u8)type, len);
    mbedtls_poly1305_update(mac_of(seal), record + SEAL_HEADER, len);
    tag_of(seal, len, record + SEAL_HEADER + len);
    return SEAL_HEADER + len + SEAL_TAG;
}

static size_t length_in(const u8 header[SEAL_HEADER])
{
    return (size_t)header[3] << 8 | header[4];
}

long seal_length(const u8 header[SEAL_HEADER])
{
    size_t len = length_in(header);

    if ((header[0] != SEAL_ALERT && header[0] != SEAL_DATA) || header[1] != VERSION >> 8 ||
        header[2] != (VERSION & 0xff) || len < SEAL_TAG || len > SEAL_MAX + SEAL_TAG)
        return -EPROTO;
    return (long)len;
}

void unseal_begin(struct seal *seal, const u8 header[SEAL_HEADER])
{
    start(seal);
    hash_header(seal, header[0], length_in(header) - SEAL_TAG);
    seal->len = length_in(header) - SEAL_TAG;
}

void unseal_hash(struct seal *seal, const u8 *bytes, size_t len)
{
    mbedtls_poly1305_update(mac_of(seal), bytes, len);
}

int unseal_end(struct seal *seal, const u8 tag[SEAL_TAG])
{
    u8 right[SEAL_TAG];

    tag_of(seal, seal->len, right);
    return mbedtls_ct_memcmp(right, tag, SEAL_TAG) ? -EBADMSG : 0;
}

void unseal_decrypt(struct seal *seal, u8 *bytes, size_t len)
{
    chacha20_crypt(&seal->cipher, bytes, bytes, len);
}

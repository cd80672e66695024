/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arithmetic is libsodium's: a number is three words of 44 bits, which are multiplied 64 by 64 bits in general
 * registers. It takes whole blocks; so what comes in parts is gathered here.
 */
#include "tls/poly1305_alt.h"

#include <assert.h>
#include <string.h>

#include <mbedtls/poly1305.h>

#include "host/bits.h"
#include "tls/wipe.h"

#include <crypto_onetimeauth/poly1305/donna/poly1305_donna64.h> /* it calls wipe() */

#define BLOCK ((size_t)poly1305_block_size)

static_assert(sizeof(poly1305_state_internal_t) <= sizeof(mbedtls_poly1305_context), "it fits");

static poly1305_state_internal_t *mac_of(mbedtls_poly1305_context *ctx)
{
    return (poly1305_state_internal_t *)ctx;
}

void mbedtls_poly1305_init(mbedtls_poly1305_context *ctx)
{
    memset(ctx, 0, sizeof(*ctx));
}

void mbedtls_poly1305_free(mbedtls_poly1305_context *ctx)
{
    if (ctx)
        wipe(ctx, sizeof(*ctx));
}

int mbedtls_poly1305_starts(mbedtls_poly1305_context *ctx, const unsigned char key[32])
{
    poly1305_init(mac_of(ctx), key);
    return 0;
}

/* Whole blocks, from where they are. Returns how many bytes. */
static size_t hash_blocks(poly1305_state_internal_t *mac, const u8 *bytes, size_t len)
{
    len -= len % BLOCK;
    poly1305_blocks(mac, bytes, len);
    return len;
}

/* A part of a block. Returns how many bytes. */
static size_t hash_part(poly1305_state_internal_t *mac, const u8 *bytes, size_t len)
{
    len = MIN(len, BLOCK - mac->leftover);
    memcpy(mac->buffer + mac->leftover, bytes, len);
    mac->leftover += len;
    if (mac->leftover == BLOCK) {
        poly1305_blocks(mac, mac->buffer, BLOCK);
        mac->leftover = 0;
    }
    return len;
}

int mbedtls_poly1305_update(mbedtls_poly1305_context *ctx, const unsigned char *input, size_t ilen)
{
    poly1305_state_internal_t *mac = mac_of(ctx);

    for (size_t done = 0; done < ilen;)
        done += (mac->leftover || ilen - done < BLOCK ? hash_part : hash_blocks)(mac, input + done, ilen - done);
    return 0;
}

int mbedtls_poly1305_finish(mbedtls_poly1305_context *ctx, unsigned char mac[16])
{
    poly1305_finish(mac_of(ctx), mac);
    return 0;
}

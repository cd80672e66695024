/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random bytes: HMAC_DRBG (NIST SP 800-90A) over mbedTLS's entropy pool, which takes from RDSEED, RDRAND and the
 * time-stamp counter's jitter. Host loop.
 */
#pragma once

#include "host/types.h"

/* Fill bytes[0..len). */
void random_fill(u8 *bytes, u32 len);

/* Has the processor a source of its own? Without one there is jitter alone, which an emulator may repeat: no secret
 * may hang on that. */
bool random_is_strong(void);

/* The same bytes for mbedTLS: returns 0. */
int random_for_mbedtls(void *unused, unsigned char *bytes, size_t len);

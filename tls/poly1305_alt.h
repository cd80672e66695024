/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MAC Poly1305 (RFC 8439, 2.5) for mbedTLS, whose own code multiplies 32 by 32 bits. mbedTLS includes this file by
 * its name. The functions are declared, and what they do is said, in mbedtls/poly1305.h.
 */
#pragma once

#include "host/types.h"

typedef struct mbedtls_poly1305_context {
    u64 state[12]; /* libsodium's */
} mbedtls_poly1305_context;

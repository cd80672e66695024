/* SPDX-License-Identifier: BSD-2-Clause */
/* SHA-256 (FIPS 180-4) of a short text in one call. Any context. */
#pragma once

#include "host/types.h"

#define SHA256_BYTES 32
#define SHA256_MAX 512 /* bytes: the longest text */

void sha256(const void *bytes, size_t len, u8 digest[SHA256_BYTES]);

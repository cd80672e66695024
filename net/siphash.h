/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of short messages. Pure. */
#pragma once

#include "host/types.h"

/* The hash of `words` words of 8 bytes, little-endian. Without the key nobody can tell it from a random number. */
u64 siphash(const u64 key[2], const u64 *word, unsigned words);

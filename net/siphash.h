/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of short messages. Pure. */
#pragma once

#include <stdint.h>

/* Of `words` words of 8 bytes, little-endian; who does not know the key can't tell one from a random number. */
uint64_t siphash(const uint64_t key[2], const uint64_t *word, unsigned words);

/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of short messages. Pure. */
#pragma once

#include <stdint.h>

/* The hash of `words` words of 8 bytes, little-endian. Without the key nobody can tell it from a random number. */
uint64_t siphash(const uint64_t key[2], const uint64_t *word, unsigned words);

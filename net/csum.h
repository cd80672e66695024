/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum (RFC 1071), a word at a time. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Add `len` bytes to an unfolded sum; they begin at an even offset of all the bytes that are summed. Bytes are taken as
 * they lie in memory, so the folded sum is stored to memory without a swap.
 */
uint64_t csum_add(uint64_t sum, const void *data, size_t len);

/* Fold a sum to 16 bits. The result is not complemented. */
uint16_t csum_fold(uint64_t sum);

/* lwIP's LWIP_CHKSUM: the folded sum of one piece. */
uint16_t csum_lwip(const void *data, int len);

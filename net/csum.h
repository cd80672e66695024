/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum (RFC 1071), a word at a time. Pure. */
#pragma once

#include "host/types.h"

/*
 * Add `len` bytes to an unfolded sum; they begin at an even offset of all the bytes that are summed. Bytes are taken as
 * they lie in memory, so the folded sum is stored to memory without a swap.
 */
u64 csum_add(u64 sum, const void *data, size_t len);

/* Fold a sum to 16 bits. The result is not complemented. */
u16 csum_fold(u64 sum);

/* lwIP's LWIP_CHKSUM: the folded sum of one piece. */
u16 csum_lwip(const void *data, int len);

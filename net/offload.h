/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finishing the work that a sender has left to its card: checksums (virtio 1.2, 5.1.6.2) and TCP segmentation. Pure.
 *
 * The offload fields come from guests: they are judged against the frame and never trusted.
 */
#pragma once

#include "net/port.h"

#define OFFLOAD_HEADERS 256 /* bytes of headers of a frame that wants offloads, at most */
#define OFFLOAD_MIN_MSS 48  /* below, one frame would make thousands */

/* Where the headers of a frame that wants segmentation are. */
struct tso_headers {
    u32 l3, l4, payload; /* offsets */
    bool ip6;
    u8 bytes[OFFLOAD_HEADERS]; /* [0, payload) */
};

/*
 * Emit `frame` as frames that need no more work: with the checksum made, and cut into segments of gso_size if it is
 * longer. Payload is passed by reference. Returns false, with nothing emitted, if its offload fields make no sense.
 */
bool offload_finish(const struct frame *frame, void (*emit)(void *ctx, const struct frame *frame), void *ctx);

/* Check a frame with a gso_type and read its headers, for a card that segments. False if the frame makes no sense. */
bool offload_tso_headers(const struct frame *frame, struct tso_headers *headers);

/* Unfolded sum of the addresses in the IP header at `ip`, of the protocol, and of the length `len` of TCP or UDP. */
u64 offload_pseudo_sum(const u8 *ip, bool ip6, u8 protocol, u32 len);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Headers are read into a buffer and changed there. The payload stays where it is: an emitted frame has the headers as
 * its first piece and slices of the payload as the others.
 */
#include "net/offload.h"

#include <string.h>

#include "net/csum.h"
#include "net/ethernet.h"
#include "net/neighbour.h"

/* IPv4 and IPv6 headers (RFC 791, RFC 8200), TCP's (RFC 9293): offsets of fields. */
#define IP4_LENGTH 2
#define IP4_ID 4
#define IP4_CSUM 10
#define IP4_ADDRESSES 12
#define IP6_LENGTH 4
#define IP6_ADDRESSES 8
#define TCP_HEADER 20
#define TCP_SEQUENCE 4
#define TCP_FLAGS 13
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

u64 offload_pseudo_sum(const u8 *ip, bool ip6, u8 protocol, u32 len)
{
    u8 tail[8] = { 0 };

    be32_put(tail, len);
    tail[7] = protocol;
    return csum_add(csum_add(0, tail, sizeof(tail)), ip + (ip6 ? IP6_ADDRESSES : IP4_ADDRESSES), ip6 ? 32 : 8);
}

/* The sum is stored as it lies in memory; see csum_add. */
static void sum_store(u8 *at, u16 sum)
{
    memcpy(at, &sum, 2);
}

/* The beginning of a frame that is emitted for `frame`: changed headers, at the same offsets. */
static struct frame head_of(const struct frame *frame, const u8 *headers, u32 len)
{
    struct frame out = frame_of(headers, len);

    out.headers = frame->headers;
    return out;
}

static bool csum_finish(const struct frame *frame, void (*emit)(void *ctx, const struct frame *frame), void *ctx)
{
    u32 start = frame->offload.csum_start, field = start + frame->offload.csum_offset;
    u8 headers[OFFLOAD_HEADERS];

    if (start < ETH_HEADER || field + 2 > sizeof(headers) || !frame_read(frame, 0, headers, field + 2))
        return false;

    struct frame out = head_of(frame, headers, field + 2);
    u16 sum = (u16)~csum_fold(frame_csum(frame, start, frame->len - start));

    /* UDP writes 0 as FFFF, which is the same number in ones' complement; TCP accepts either. */
    sum_store(headers + field, sum ? sum : 0xFFFF);
    frame_append(&out, frame, field + 2, frame->len - field - 2); /* fits: one piece more than before at most */
    out.offload.flags = OFFLOAD_DATA_VALID;
    emit(ctx, &out);
    return true;
}

/* Does TCP begin at `l4`, behind an IP header of the kind that the sender says? IPv6 may have extension headers
 * between.
 */
static bool ip_fits(const struct frame *frame, u32 l4)
{
    const struct headers *headers = &frame->headers;

    switch (frame->offload.gso_type) {
    case OFFLOAD_GSO_TCP4: return headers->ip == 4 && headers->protocol == IP_PROTO_TCP && headers->l4 == l4;
    case OFFLOAD_GSO_TCP6: return headers->ip == 6 && headers->l4 <= l4;
    default: return false;
    }
}

bool offload_tso_headers(const struct frame *frame, struct tso_headers *h)
{
    u8 data_offset;

    h->ip6 = frame->headers.ip == 6;
    h->l3 = frame->headers.l3;
    h->l4 = frame->offload.csum_start;
    if (!ip_fits(frame, h->l4) || !(frame->offload.flags & OFFLOAD_NEEDS_CSUM) ||
        frame->offload.gso_size < OFFLOAD_MIN_MSS || frame->offload.csum_offset != TCP_CSUM ||
        !frame_read(frame, h->l4 + TCP_DATA_OFFSET, &data_offset, 1))
        return false;
    h->payload = h->l4 + (data_offset >> 4) * 4U;
    if (data_offset >> 4 < TCP_HEADER / 4 || h->payload > OFFLOAD_HEADERS || h->payload >= frame->len)
        return false;
    return frame_read(frame, 0, h->bytes, h->payload);
}

/* Make the headers of the segment that has `len` bytes of payload from offset `done` on. */
static void segment_headers(const struct tso_headers *h, u8 *headers, u32 index, u32 done, u32 len, bool last)
{
    u8 *ip = headers + h->l3, *tcp = headers + h->l4;
    u32 l3_len = h->payload - h->l3 + len;

    memcpy(headers, h->bytes, h->payload);
    if (h->ip6) {
        be16_put(ip + IP6_LENGTH, (u16)(l3_len - IP6_HEADER));
    } else {
        be16_put(ip + IP4_LENGTH, (u16)l3_len);
        be16_put(ip + IP4_ID, (u16)(be16_get(ip + IP4_ID) + index));
        sum_store(ip + IP4_CSUM, 0);
        sum_store(ip + IP4_CSUM, (u16)~csum_fold(csum_add(0, ip, h->l4 - h->l3)));
    }
    be32_put(tcp + TCP_SEQUENCE, be32_get(tcp + TCP_SEQUENCE) + done);
    if (index > 0)
        tcp[TCP_FLAGS] &= (u8)~TCP_CWR;
    if (!last)
        tcp[TCP_FLAGS] &= (u8) ~(TCP_FIN | TCP_PSH);
    sum_store(tcp + TCP_CSUM, 0);
}

static bool tso_finish(const struct frame *frame, void (*emit)(void *ctx, const struct frame *frame), void *ctx)
{
    struct tso_headers h;
    u8 headers[OFFLOAD_HEADERS];

    if (!offload_tso_headers(frame, &h))
        return false;

    u32 total = frame->len - h.payload;

    for (u32 done = 0, index = 0, len; done < total; done += len, index++) {
        u32 left = total - done;

        len = left < frame->offload.gso_size ? left : frame->offload.gso_size;
        segment_headers(&h, headers, index, done, len, len == left);

        struct frame out = head_of(frame, headers, h.payload);
        u32 l4_len = h.payload - h.l4 + len;

        /* A slice has no more pieces than the whole: with the headers', one more than FRAME_PARTS at most. */
        frame_append(&out, frame, h.payload + done, len);

        u64 sum = offload_pseudo_sum(headers + h.l3, h.ip6, IP_PROTO_TCP, l4_len);

        sum = (u64)csum_fold(sum) + csum_fold(frame_csum(&out, h.l4, l4_len));
        sum_store(headers + h.l4 + TCP_CSUM, (u16)~csum_fold(sum));
        out.offload.flags = OFFLOAD_DATA_VALID;
        emit(ctx, &out);
    }
    return true;
}

bool offload_finish(const struct frame *frame, void (*emit)(void *ctx, const struct frame *frame), void *ctx)
{
    if (frame->offload.gso_type != OFFLOAD_GSO_NONE)
        return tso_finish(frame, emit, ctx);
    if (frame->offload.flags & OFFLOAD_NEEDS_CSUM)
        return csum_finish(frame, emit, ctx);
    emit(ctx, frame);
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* All functions that walk a frame's pieces do it alike: they skip the pieces before the offset, then take from each
 * piece the bytes that it has. */
#include "net/ethernet.h"

#include "host/copy.h"
#include "net/csum.h"

const u8 mac_broadcast[MAC_LEN] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };

u8 *frame_header(u8 *out, const u8 *destination, const u8 *source, u16 type)
{
    memcpy(out, destination, MAC_LEN);
    memcpy(out + MAC_LEN, source, MAC_LEN);
    be16_put(out + ETH_TYPE, type);
    return out + ETH_HEADER;
}

struct frame frame_of(const void *data, u32 len)
{
    return (struct frame){ .part = { { data, len } }, .nr_parts = 1, .len = len };
}

bool frame_read(const struct frame *frame, u32 offset, void *to, u32 len)
{
    u8 *out = to;

    for (unsigned i = 0; i < frame->nr_parts && len > 0; i++) {
        const struct frame_part *part = &frame->part[i];

        if (offset >= part->len) {
            offset -= part->len;
            continue;
        }

        u32 take = part->len - offset < len ? part->len - offset : len;

        bulk_copy(out, (const u8 *)part->data + offset, take);
        out += take;
        len -= take;
        offset = 0;
    }
    return len == 0;
}

bool frame_append(struct frame *out, const struct frame *frame, u32 offset, u32 len)
{
    for (unsigned i = 0; i < frame->nr_parts && len > 0; i++) {
        const struct frame_part *part = &frame->part[i];

        if (offset >= part->len) {
            offset -= part->len;
            continue;
        }
        if (out->nr_parts == FRAME_PARTS + 1)
            return false;

        u32 take = part->len - offset < len ? part->len - offset : len;

        out->part[out->nr_parts++] = (struct frame_part){ (const u8 *)part->data + offset, take };
        out->len += take;
        len -= take;
        offset = 0;
    }
    return len == 0;
}

u64 frame_csum(const struct frame *frame, u32 offset, u32 len)
{
    u64 sum = 0;
    bool odd = false; /* the next byte's place in what is summed */

    for (unsigned i = 0; i < frame->nr_parts && len > 0; i++) {
        const struct frame_part *part = &frame->part[i];

        if (offset >= part->len) {
            offset -= part->len;
            continue;
        }

        u32 take = part->len - offset < len ? part->len - offset : len;
        u64 piece = csum_add(0, (const u8 *)part->data + offset, take);

        /* RFC 1071 2(B): the sum of bytes that stand at odd places is the swapped sum of the same at even ones. */
        sum = (u64)csum_fold(sum) + (odd ? __builtin_bswap16(csum_fold(piece)) : csum_fold(piece));
        odd ^= take & 1;
        len -= take;
        offset = 0;
    }
    return sum;
}

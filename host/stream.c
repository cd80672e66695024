/* SPDX-License-Identifier: BSD-2-Clause */
/* Fixed-width little-endian fields in and out of a buffer. */
#include "host/stream.h"

#include <errno.h>
#include <string.h>

void put_bytes(struct writer *w, const void *bytes, size_t len)
{
    if (w->overflow || len > w->cap - w->len) {
        w->overflow = true;
        return;
    }
    memcpy(w->buf + w->len, bytes, len);
    w->len += len;
}

void get_bytes(struct reader *r, void *bytes, size_t len)
{
    if (r->truncated || len > r->len - r->pos) {
        r->truncated = true;
        memset(bytes, 0, len);
        return;
    }
    memcpy(bytes, r->buf + r->pos, len);
    r->pos += len;
}

/* The processor is little-endian, so a number's low bytes in memory are its field. */
void put_u8(struct writer *w, u8 value)
{
    put_bytes(w, &value, sizeof(value));
}

void put_u16(struct writer *w, u16 value)
{
    put_bytes(w, &value, sizeof(value));
}

void put_u32(struct writer *w, u32 value)
{
    put_bytes(w, &value, sizeof(value));
}

void put_u64(struct writer *w, u64 value)
{
    put_bytes(w, &value, sizeof(value));
}

u8 get_u8(struct reader *r)
{
    u8 value;

    get_bytes(r, &value, sizeof(value));
    return value;
}

u16 get_u16(struct reader *r)
{
    u16 value;

    get_bytes(r, &value, sizeof(value));
    return value;
}

u32 get_u32(struct reader *r)
{
    u32 value;

    get_bytes(r, &value, sizeof(value));
    return value;
}

u64 get_u64(struct reader *r)
{
    u64 value;

    get_bytes(r, &value, sizeof(value));
    return value;
}

int get_version(struct reader *r, u16 version)
{
    u16 found = get_u16(r);

    if (r->truncated)
        return -EINVAL;
    return found == version ? 0 : -ENOTSUP;
}

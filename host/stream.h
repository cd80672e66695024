/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fixed-width little-endian fields in and out of a buffer: how devices and processors save themselves.
 *
 * Errors are sticky, so callers move all their fields and look once at the end. A writer that runs out of room writes
 * nothing more and sets `overflow`; a reader that runs out of bytes yields zeros and sets `truncated`. Neither ever
 * leaves its buffer. Every section begins with the version of its layout (put_u16, get_version).
 */
#pragma once

#include "host/types.h"

struct writer {
    u8 *buf;
    size_t len, cap; /* bytes written, bytes there are */
    bool overflow;
};

struct reader {
    const u8 *buf;
    size_t pos, len; /* bytes read, bytes there are */
    bool truncated;
};

void put_u8(struct writer *w, u8 value);
void put_u16(struct writer *w, u16 value);
void put_u32(struct writer *w, u32 value);
void put_u64(struct writer *w, u64 value);
void put_bytes(struct writer *w, const void *bytes, size_t len);

u8 get_u8(struct reader *r);
u16 get_u16(struct reader *r);
u32 get_u32(struct reader *r);
u64 get_u64(struct reader *r);
void get_bytes(struct reader *r, void *bytes, size_t len);

/* Read a section's version: 0 if it is `version`, -EINVAL if the stream ends, -ENOTSUP if it is another one. */
int get_version(struct reader *r, u16 version);

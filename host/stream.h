/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fixed-width little-endian fields in and out of a buffer: the form in which devices and processors save their state.
 *
 * Errors are sticky, so a caller moves all its fields and checks once at the end. A writer that runs out of room writes
 * nothing more and sets `overflow`; a reader that runs out of bytes yields zeros and sets `truncated`. Neither ever
 * leaves its buffer. Every section begins with the version of its layout (put_u16, get_version).
 */
#pragma once

#include "host/types.h"

struct writer {
    u8 *buf;
    size_t len, cap; /* bytes written; bytes of room */
    bool overflow;
};

struct reader {
    const u8 *buf;
    size_t pos, len; /* bytes read; bytes in the buffer */
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

/* Read a section's version. Returns 0 if it is `version`, -EINVAL if the stream ends, -ENOTSUP if it is another. */
int get_version(struct reader *r, u16 version);

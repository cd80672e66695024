/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fixed-width little-endian fields in a buffer: the form in which devices and processors save their state.
 *
 * A codec saves fields into its buffer or restores them from it, so one function that names the fields of a section in
 * their order serves both directions, and its fields can't differ between the two. What a peer sent is judged
 * after it was restored, by codec_judge. The first failure sticks in `err`, with words in `why`; after it a saver
 * writes nothing and a restorer yields zeros, so a caller moves all its fields and looks at the end. No codec ever
 * leaves its buffer.
 */
#pragma once

#include "host/types.h"

#define CODEC_WHY 64

struct codec {
    u8 *buf;        /* a restorer only reads it */
    size_t at, len; /* bytes done; bytes in the buffer */
    bool restoring;
    int err;             /* 0 or the -errno of the first failure */
    char why[CODEC_WHY]; /* the failure in words that follow the name of the section; "": there are none */
};

/* Begin to save into `room` bytes, or to restore from `len` bytes. */
static inline struct codec codec_saver(void *buf, size_t room)
{
    return (struct codec){ .buf = buf, .len = room };
}

static inline struct codec codec_restorer(const void *bytes, size_t len)
{
    return (struct codec){ .buf = (u8 *)bytes, .len = len, .restoring = true };
}

/* Move a field, given by its address. A field that isn't there, or doesn't fit, is a failure (-EINVAL or -ENOSPC) that
 * names it; so is a flag that is restored and is neither 0 nor 1. */
#define codec_u8(c, field) codec_field(c, (u8 *){ field }, sizeof(u8), #field)
#define codec_u16(c, field) codec_field(c, (u16 *){ field }, sizeof(u16), #field)
#define codec_u32(c, field) codec_field(c, (u32 *){ field }, sizeof(u32), #field)
#define codec_u64(c, field) codec_field(c, (u64 *){ field }, sizeof(u64), #field)
#define codec_bool(c, field) codec_flag(c, field, #field)
#define codec_bytes(c, bytes, size) codec_field(c, bytes, size, #bytes)

/* Used by the macros above: `name` is the field as the source writes it. */
void codec_field(struct codec *c, void *field, size_t size, const char *name);
void codec_flag(struct codec *c, bool *field, const char *name);

/* The version of a section's layout, with which it begins. Another one is refused with -ENOTSUP. */
void codec_version(struct codec *c, u16 version);

/* Fail for a reason of the caller's own, unless the codec has failed already. */
void codec_refuse(struct codec *c, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Was all so far restored, and is it acceptable? Only then may the caller use it. */
static inline bool codec_restored(const struct codec *c)
{
    return c->restoring && !c->err;
}

/* Judge what was restored: unless it is `good`, it is refused with -EINVAL and `why`. Returns codec_restored: false for
 * a saver, whose values are our own. */
bool codec_judge(struct codec *c, bool good, const char *why);

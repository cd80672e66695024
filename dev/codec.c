/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/codec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void codec_refuse(struct codec *c, int err, const char *format, ...)
{
    va_list args;

    if (c->err)
        return;
    c->err = err;
    va_start(args, format);
    vsnprintf(c->why, sizeof(c->why), format, args);
    va_end(args);
}

/* The field "&chip->irr" is called irr. */
static const char *last_name(const char *name)
{
    const char *last = name;

    for (; *name; name++)
        if (*name == '&' || *name == '>' || *name == '.')
            last = name + 1;
    return last;
}

/* The processor is little-endian, so a number's bytes in memory are its field. */
void codec_field(struct codec *c, void *field, size_t size, const char *name)
{
    if (size > c->len - c->at)
        codec_refuse(c, c->restoring ? -EINVAL : -ENOSPC, c->restoring ? "it breaks off before %s" : "no room for %s",
                     last_name(name));
    if (c->err && c->restoring)
        memset(field, 0, size);
    if (c->err)
        return;
    if (c->restoring)
        memcpy(field, c->buf + c->at, size);
    else
        memcpy(c->buf + c->at, field, size);
    c->at += size;
}

void codec_flag(struct codec *c, bool *field, const char *name)
{
    u8 value = c->restoring ? 0 : *field;

    codec_field(c, &value, sizeof(value), name);
    if (codec_restored(c) && value > 1)
        codec_refuse(c, -EINVAL, "%s is neither 0 nor 1", last_name(name));
    if (c->restoring)
        *field = value;
}

void codec_version(struct codec *c, u16 version)
{
    u16 found = version;

    codec_u16(c, &found);
    if (!c->err && found != version)
        codec_refuse(c, -ENOTSUP, "version %u, expected %u", found, version);
}

bool codec_judge(struct codec *c, bool good, const char *why)
{
    if (codec_restored(c) && !good)
        codec_refuse(c, -EINVAL, "%s", why);
    return codec_restored(c);
}

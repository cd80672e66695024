/* SPDX-License-Identifier: BSD-2-Clause */
/* Nothing is copied but what lies behind a record's end in the same pbuf. */
#include "net/tls_in.h"

#include <errno.h>
#include <string.h>

#include "host/bits.h"

void tls_in_fini(struct tls_in *in)
{
    while (in->waiting) {
        struct pbuf *p = in->waiting;

        in->waiting = p->next;
        p->next = NULL;
        pbuf_free(p);
    }
    in->have = 0;
    seal_wipe(&in->seal);
}

void tls_in_append(struct tls_in *in, struct pbuf *p)
{
    if (in->waiting)
        in->last->next = p;
    else
        in->waiting = p;
    for (; p; p = p->next) {
        in->have += p->len;
        in->last = p;
    }
}

static void look(const struct tls_in *in, u8 *bytes, size_t len)
{
    for (const struct pbuf *p = in->waiting; len > 0; p = p->next) {
        size_t part = MIN(len, (size_t)p->len);

        memcpy(bytes, p->payload, part);
        bytes += part;
        len -= part;
    }
}

size_t tls_in_take(struct tls_in *in, void *bytes, size_t len)
{
    len = MIN(len, in->have);
    look(in, bytes, len);
    in->waiting = pbuf_free_header(in->waiting, (u16_t)len);
    in->have -= len;
    return len;
}

/* Cut the first bytes off. NULL: no memory for what lies behind them in the same pbuf. */
static struct pbuf *cut(struct tls_in *in, size_t len)
{
    struct pbuf *first = in->waiting, *p = first, *rest;

    in->have -= len;
    for (; len > p->len; p = p->next)
        len -= p->len;
    rest = p->next;
    if (len < p->len) {
        struct pbuf *behind = pbuf_alloc(PBUF_RAW, (u16_t)(p->len - len), PBUF_RAM);

        if (!behind)
            return NULL;
        memcpy(behind->payload, (u8 *)p->payload + len, behind->len);
        behind->next = rest;
        rest = behind;
        if (p == in->last)
            in->last = behind;
        p->len = (u16_t)len;
    }
    p->next = NULL;
    in->waiting = rest;
    return first;
}

/* Authenticate and decrypt `len` bytes, the tag behind them. Returns 0 or -EBADMSG. */
static int decrypt(struct seal *seal, const u8 header[SEAL_HEADER], struct pbuf *record, size_t len)
{
    u8 tag[SEAL_TAG];
    size_t left = len, got = 0;
    int err;

    unseal_begin(seal, header);
    for (const struct pbuf *p = record; p; p = p->next) {
        size_t part = MIN((size_t)p->len, left);

        unseal_hash(seal, p->payload, part);
        memcpy(tag + got, (u8 *)p->payload + part, p->len - part);
        got += p->len - part;
        left -= part;
    }
    err = unseal_end(seal, tag);
    for (struct pbuf *p = record; p && !err && len > 0; p = p->next) {
        size_t part = MIN((size_t)p->len, len);

        unseal_decrypt(seal, p->payload, part);
        len -= part;
    }
    return err;
}

/* Only the first `len` bytes are left, and the pbufs count as lwIP's do. NULL: there are none. */
static struct pbuf *trim(struct pbuf *record, size_t len)
{
    struct pbuf *p = record;

    if (!len) {
        pbuf_free(record);
        return NULL;
    }
    for (; p && len > 0; p = p->next) {
        p->tot_len = (u16_t)len;
        p->len = (u16_t)MIN((size_t)p->len, len);
        len -= p->len;
        if (!len && p->next) {
            pbuf_free(p->next);
            p->next = NULL;
        }
    }
    return record;
}

int tls_in_next(struct tls_in *in, struct tls_opened *opened)
{
    u8 header[SEAL_HEADER];
    struct pbuf *record;
    long len;

    if (in->have < SEAL_HEADER)
        return -EAGAIN;
    look(in, header, SEAL_HEADER);
    len = seal_length(header);
    if (len < 0)
        return -EPROTO;
    if (in->have < SEAL_HEADER + (size_t)len)
        return -EAGAIN;
    tls_in_take(in, header, SEAL_HEADER);
    record = cut(in, (size_t)len);
    if (!record)
        return -ENOMEM;
    len -= SEAL_TAG;
    if (decrypt(&in->seal, header, record, (size_t)len)) {
        pbuf_free(record);
        return -EBADMSG;
    }
    *opened = (struct tls_opened){ header[0], trim(record, (size_t)len), (size_t)len };
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/tls_out.h"

#include <stdlib.h>
#include <string.h>

#include "host/bits.h"

static const u8 close_notify[] = { 1, 0 }; /* RFC 5246, 7.2: a warning */

struct tls_record {
    struct list node;
    size_t plain; /* bytes that were added */
    size_t len;   /* of the sealed record */
    size_t left;  /* of these, not acknowledged */
    bool written; /* lwIP has it */
    u8 bytes[];
};

void tls_out_init(struct tls_out *out, struct altcp_pcb *inner)
{
    out->inner = inner;
    list_init(&out->spare);
    list_init(&out->records);
}

void tls_out_fini(struct tls_out *out)
{
    list_for_each_safe (node, &out->spare)
        free(container_of(node, struct tls_record, node));
    list_for_each_safe (node, &out->records)
        free(container_of(node, struct tls_record, node));
    list_init(&out->spare);
    list_init(&out->records);
    out->open = NULL;
    seal_wipe(&out->seal);
}

/* See to it that so many more bytes have room. False: there is no memory, but none is lost. */
static bool provide(struct tls_out *out, size_t len)
{
    size_t room = out->open ? SEAL_MAX - out->open->plain : 0;

    list_for_each (node, &out->spare)
        room += SEAL_MAX;
    for (; room < len; room += SEAL_MAX) {
        struct tls_record *record = malloc(sizeof(*record) + SEAL_ROOM);

        if (!record)
            return false;
        memset(record, 0, sizeof(*record));
        list_add_tail(&out->spare, &record->node);
    }
    return true;
}

/* There is a spare one. */
static void record_open(struct tls_out *out)
{
    struct tls_record *record = container_of(out->spare.next, struct tls_record, node);

    list_del(&record->node);
    seal_begin(&out->seal);
    list_add_tail(&out->records, &record->node);
    out->open = record;
}

/* Encrypt as much as the open record has room for. */
static size_t record_add(struct tls_out *out, const u8 *bytes, size_t len)
{
    struct tls_record *record = out->open;

    len = MIN(len, SEAL_MAX - record->plain);
    seal_add(&out->seal, record->bytes + SEAL_HEADER + record->plain, bytes, len);
    record->plain += len;
    return len;
}

/* Seal the open record, and give back the memory that it does not need: it may have to wait long. */
static struct tls_record *record_seal(struct tls_out *out, enum seal_type type)
{
    struct tls_record *record = out->open, *fitting;

    out->open = NULL;
    record->len = record->left = seal_end(&out->seal, type, record->bytes, record->plain);
    list_del(&record->node);
    fitting = realloc(record, sizeof(*record) + record->len);
    record = fitting ? fitting : record;
    list_add_tail(&out->records, &record->node);
    return record;
}

bool tls_out_flush(struct tls_out *out)
{
    list_for_each (node, &out->records) {
        struct tls_record *record = container_of(node, struct tls_record, node);

        if (record == out->open)
            break;
        if (record->written)
            continue;
        if (altcp_write(out->inner, record->bytes, (u16_t)record->len, TCP_WRITE_FLAG_MORE) != ERR_OK)
            return false;
        record->written = true;
    }
    if (out->said_close && !out->shut)
        out->shut = altcp_shutdown(out->inner, 0, 1) == ERR_OK;
    return true;
}

bool tls_out_add(struct tls_out *out, const void *from, size_t len)
{
    const u8 *bytes = from;

    if (!tls_out_flush(out) || !provide(out, len))
        return false;
    while (len > 0) {
        size_t part;

        if (!out->open)
            record_open(out);
        part = record_add(out, bytes, len);
        bytes += part;
        len -= part;
        if (out->open->plain == SEAL_MAX)
            record_seal(out, SEAL_DATA);
    }
    tls_out_flush(out);
    return true;
}

void tls_out_push(struct tls_out *out)
{
    if (out->open)
        record_seal(out, SEAL_DATA);
    tls_out_flush(out);
}

void tls_out_end(struct tls_out *out)
{
    tls_out_push(out);
    if (!out->said_close && provide(out, sizeof(close_notify))) {
        record_open(out);
        record_add(out, close_notify, sizeof(close_notify));
        record_seal(out, SEAL_ALERT)->plain = 0;
    }
    out->said_close = true;
    tls_out_flush(out);
}

size_t tls_out_acknowledged(struct tls_out *out, size_t len)
{
    size_t plain = 0, part = MIN(len, out->hello);

    out->hello -= part;
    len -= part;
    list_for_each_safe (node, &out->records) {
        struct tls_record *record = container_of(node, struct tls_record, node);

        part = MIN(len, record->left);
        record->left -= part;
        len -= part;
        if (record->left || record == out->open)
            break;
        plain += record->plain;
        list_del(node);
        free(record);
    }
    return plain;
}

bool tls_out_is_over(const struct tls_out *out)
{
    return out->shut && list_empty(&out->records);
}

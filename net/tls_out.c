/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/tls_out.h"

#include <stdlib.h>
#include <string.h>

#include "host/bits.h"

#define ROOM_MIN 512 /* bytes in a record that may yet grow */

static const u8 close_notify[] = { 1, 0 }; /* RFC 5246, 7.2: a warning */

struct tls_record {
    struct list node;
    size_t room;  /* for bytes that are added */
    size_t plain; /* bytes that were added */
    size_t len;   /* of the sealed record */
    size_t left;  /* of these, not acknowledged */
    bool written; /* lwIP has it */
    u8 bytes[];
};

void tls_out_init(struct tls_out *out, struct altcp_pcb *inner, u64 *sent)
{
    out->sent = sent;
    out->inner = inner;
    list_init(&out->spare);
    list_init(&out->records);
}

void tls_out_fini(struct tls_out *out)
{
    list_each_safe (struct tls_record, record, &out->spare)
        free(record);
    list_each_safe (struct tls_record, record, &out->records)
        free(record);
    list_init(&out->spare);
    list_init(&out->records);
    out->open = NULL;
    seal_wipe(&out->seal);
}

/* How many bytes a record shall have room for, of which len are to be added now: as many as the last one had, so that a
 * stream of pages gets whole records at once, and a few words take little. */
static size_t room_for(const struct tls_out *out, size_t len)
{
    return MIN(MAX(len, MAX(out->usual, (size_t)ROOM_MIN)), (size_t)SEAL_MAX);
}

/* Give a record, or a new one (NULL), so much room. NULL: there is no memory, and all is as before. */
static struct tls_record *record_size(struct tls_record *record, size_t room)
{
    struct tls_record *sized = realloc(record, sizeof(*record) + SEAL_HEADER + room + SEAL_TAG);

    if (sized && !record)
        memset(sized, 0, sizeof(*sized));
    if (sized)
        sized->room = room;
    return sized;
}

/* Let the open record, which is the last one, have room for len more bytes, or as many as a record may have. */
static bool grow(struct tls_out *out, size_t len)
{
    struct tls_record *record = out->open, *sized;

    if (len <= record->room - record->plain || record->room == SEAL_MAX)
        return true;
    list_del(&record->node);
    sized = record_size(record, MIN(MAX(record->plain + len, 2 * record->room), (size_t)SEAL_MAX));
    out->open = sized ? sized : record;
    list_add_tail(&out->records, &out->open->node);
    return sized;
}

/* See to it that so many more bytes have room. False: there is no memory, but none is lost. */
static bool provide(struct tls_out *out, size_t len)
{
    size_t room = 0;

    if (out->open && !grow(out, len))
        return false;
    if (out->open)
        room = out->open->room - out->open->plain;
    list_each (const struct tls_record, record, &out->spare)
        room += record->room;
    while (room < len) {
        struct tls_record *record = record_size(NULL, room_for(out, len - room));

        if (!record)
            return false;
        room += record->room;
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

    len = MIN(len, record->room - record->plain);
    seal_add(&out->seal, record->bytes + SEAL_HEADER + record->plain, bytes, len);
    record->plain += len;
    return len;
}

/* Seal the open record, and give back the memory that it does not need: it may have to wait long. */
static struct tls_record *record_seal(struct tls_out *out, enum seal_type type)
{
    struct tls_record *record = out->open, *fitting;

    out->open = NULL;
    out->usual = record->plain;
    record->len = record->left = seal_end(&out->seal, type, record->bytes, record->plain);
    *out->sent += record->len;
    list_del(&record->node);
    fitting = record_size(record, record->plain);
    record = fitting ? fitting : record;
    list_add_tail(&out->records, &record->node);
    return record;
}

bool tls_out_flush(struct tls_out *out)
{
    list_each (struct tls_record, record, &out->records) {
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
        if (out->open->plain == SEAL_MAX || len > 0)
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
    list_each_safe (struct tls_record, record, &out->records) {
        part = MIN(len, record->left);
        record->left -= part;
        len -= part;
        if (record->left || record == out->open)
            break;
        plain += record->plain;
        list_del(&record->node);
        free(record);
    }
    return plain;
}

bool tls_out_is_over(const struct tls_out *out)
{
    return out->shut && list_empty(&out->records);
}

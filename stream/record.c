/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "stream/crc32c.h"

/* What a record's `len` counts besides the body: crc and seq. */
#define LEN_FIXED (sizeof(struct wire_record) - offsetof(struct wire_record, crc))

/* Size of a buffer for a record with a body of `room` bytes, or for a header. */
#define BYTES(room) MAX(sizeof(struct wire_record) + (room), sizeof(struct wire_header))

/* CRC of a record's head, without the field for it, and of its padded body. */
static u32 record_crc(const struct wire_record *head, const void *body, size_t padded)
{
    u32 crc = crc32c(0, head, offsetof(struct wire_record, crc));

    crc = crc32c(crc, &head->seq, sizeof(head->seq));
    return crc32c(crc, body, padded);
}

int outbox_init(struct outbox *box, size_t room)
{
    memset(box, 0, sizeof(*box));
    box->room = room;
    box->buf = malloc(BYTES(room));
    return box->buf ? 0 : -ENOMEM;
}

void outbox_fini(struct outbox *box)
{
    free(box->buf);
    box->buf = NULL;
}

void outbox_reset(struct outbox *box)
{
    box->chunks = box->next = 0;
    box->seq = 0;
}

void outbox_header(struct outbox *box, struct wire_header *header)
{
    header->magic = WIRE_MAGIC;
    header->crc = crc32c(0, header, offsetof(struct wire_header, crc));
    memcpy(box->buf, header, sizeof(*header));
    box->chunk[0] = (struct chunk){ .bytes = box->buf, .len = sizeof(*header) };
    box->chunks = 1;
    box->next = 0;
}

void outbox_greet(struct outbox *box, const struct greeting *greeting)
{
    struct wire_header header = { .version_min = WIRE_VERSION_MIN,
                                  .version_max = WIRE_VERSION,
                                  .kind = greeting->kind,
                                  .features = greeting->features,
                                  .required = greeting->required,
                                  .epoch = greeting->epoch };

    if (greeting->vm_id)
        memcpy(header.vm_id, greeting->vm_id, WIRE_ID);
    outbox_header(box, &header);
}

void outbox_begin(struct outbox *box)
{
    box->body = codec_saver(box->buf + sizeof(struct wire_record), box->room);
    box->chunks = 1;
    box->next = 0;
    box->pages = 0;
}

void outbox_page(struct outbox *box, const void *page)
{
    struct chunk *last = &box->chunk[box->chunks - 1];

    if (box->pages == WIRE_BATCH) {
        codec_refuse(&box->body, -ENOSPC, "no room for a page");
        return;
    }
    if (box->pages++ && (const u8 *)last->bytes + last->len == page)
        last->len += WIRE_PAGE; /* the transport has less to do for one large chunk */
    else
        box->chunk[box->chunks++] = (struct chunk){ .bytes = page, .len = WIRE_PAGE, .stable = true };
}

void outbox_end(struct outbox *box, u32 type)
{
    size_t len = box->body.at, padded = align_up(len, 8);
    struct wire_record head = {
        .type = type,
        .len = LEN_FIXED + len + box->pages * WIRE_PAGE,
        .seq = box->seq++,
    };

    box->failed |= box->body.err != 0;
    memset(box->body.buf + len, 0, padded - len);
    head.crc = record_crc(&head, box->body.buf, padded);
    memcpy(box->buf, &head, sizeof(head));
    box->chunk[0] = (struct chunk){ .bytes = box->buf, .len = sizeof(head) + padded };
}

void outbox_record(struct outbox *box, u32 type, const void *body, size_t len)
{
    outbox_begin(box);
    if (len)
        codec_bytes(&box->body, (void *)body, len); /* a saver only reads it */
    outbox_end(box, type);
}

/* The transport has taken n bytes from the front. */
static void consume(struct outbox *box, size_t n)
{
    while (n && !outbox_empty(box)) {
        struct chunk *chunk = &box->chunk[box->next];
        size_t part = MIN(n, chunk->len);

        chunk->bytes = (const u8 *)chunk->bytes + part;
        chunk->len -= part;
        n -= part;
        if (!chunk->len)
            box->next++;
    }
}

size_t outbox_take(struct outbox *box, void *bytes, size_t room)
{
    size_t taken = 0;

    while (taken < room && !outbox_empty(box)) {
        const struct chunk *chunk = &box->chunk[box->next];
        size_t part = MIN(room - taken, chunk->len);

        memcpy((u8 *)bytes + taken, chunk->bytes, part);
        taken += part;
        consume(box, part);
    }
    return taken;
}

u64 record_bytes(const struct wire_record *head)
{
    return sizeof(*head) + align_up((u64)head->len - LEN_FIXED, 8);
}

int outbox_flush(struct outbox *box, struct transport *transport)
{
    if (box->failed)
        return -EOVERFLOW;
    while (!outbox_empty(box)) {
        long sent = transport->ops->send(transport, &box->chunk[box->next], box->chunks - box->next);

        if (sent <= 0)
            return sent ? (int)sent : -EAGAIN;
        box->bytes += sent;
        consume(box, sent);
    }
    return 0;
}

int inbox_init(struct inbox *box, size_t room, u8 *(*place)(void *ctx, const struct wire_page *page), void *ctx)
{
    memset(box, 0, sizeof(*box));
    box->place = place;
    box->ctx = ctx;
    box->room = room;
    box->buf = malloc(BYTES(room));
    return box->buf ? 0 : -ENOMEM;
}

void inbox_fini(struct inbox *box)
{
    free(box->buf);
    box->buf = NULL;
}

void inbox_received(struct inbox *box, const struct wire_header *header)
{
    memcpy(box->buf, header, sizeof(*header));
    box->have = sizeof(*header);
    box->bytes = sizeof(*header);
}

void inbox_reset(struct inbox *box)
{
    box->at = INBOX_AT_HEADER;
    box->have = 0;
    box->seq = 0;
}

/* Fill bytes[box->have..want). Returns 0 when all are there, else -errno. */
static int fill(struct inbox *box, struct transport *transport, u8 *bytes, size_t want)
{
    while (box->have < want) {
        long got = transport->ops->receive(transport, bytes + box->have, want - box->have);

        if (got <= 0)
            return got ? (int)got : -EAGAIN;
        box->have += got;
        box->bytes += got;
    }
    return 0;
}

static void go_to(struct inbox *box, int at)
{
    box->at = at;
    box->have = 0;
}

/* A record of its handshake, or an alert, which is shorter than our header (RFC 5246, 6.2.1). */
bool inbox_heard_tls(const struct inbox *box)
{
    return box->at == INBOX_AT_HEADER && box->have > 1 && (box->buf[0] == 21 || box->buf[0] == 22) && box->buf[1] == 3;
}

static int take_header(struct inbox *box, struct transport *transport)
{
    int err = fill(box, transport, box->buf, sizeof(box->header));

    if (err)
        return inbox_heard_tls(box) ? -EPROTO : err;
    memcpy(&box->header, box->buf, sizeof(box->header));
    if (box->header.magic != WIRE_MAGIC ||
        box->header.crc != crc32c(0, &box->header, offsetof(struct wire_header, crc)))
        return -EPROTO;
    go_to(box, INBOX_AT_HEAD);
    return INBOX_HEADER;
}

/* The size of the padded body, without the contents of pages, of the record whose head is in buf; -EPROTO if that can't
 * be right. */
static long body_size(struct inbox *box, const struct wire_record *head)
{
    size_t len = head->len - LEN_FIXED, pages = 0;

    if (head->len < LEN_FIXED || head->seq != box->seq)
        return -EPROTO;
    if (head->type == WIRE_PAGES) {
        /* Each entry comes with its page, so the length alone tells how many there are. */
        if (len <= sizeof(struct wire_pages))
            return -EPROTO;
        len -= sizeof(struct wire_pages);
        pages = len / (sizeof(struct wire_page) + WIRE_PAGE);
        if (len % (sizeof(struct wire_page) + WIRE_PAGE) || pages > WIRE_BATCH)
            return -EPROTO;
        len = sizeof(struct wire_pages) + pages * sizeof(struct wire_page);
    }
    if (len > box->room)
        return -EPROTO;
    box->pages = pages;
    box->len = len;
    return (long)align_up(len, 8);
}

static int take_head(struct inbox *box, struct transport *transport)
{
    struct wire_record head;
    int err = fill(box, transport, box->buf, sizeof(head));

    if (err)
        return err;
    memcpy(&head, box->buf, sizeof(head));
    if (body_size(box, &head) < 0)
        return -EPROTO;
    /* `have` goes on: the body follows in the same buffer. */
    box->at = INBOX_AT_BODY;
    return 0;
}

static int take_body(struct inbox *box, struct transport *transport)
{
    struct wire_record head;
    struct wire_pages count;
    size_t padded = align_up(box->len, 8);
    int err = fill(box, transport, box->buf, sizeof(head) + padded);

    if (err)
        return err;
    memcpy(&head, box->buf, sizeof(head));
    box->body = box->buf + sizeof(head);
    if (head.crc != record_crc(&head, box->body, padded))
        return -EPROTO;
    box->seq++;
    box->type = head.type;
    box->pages_placed = box->pages_done = 0;
    if (box->pages) {
        memcpy(&count, box->body, sizeof(count));
        if (count.count != box->pages)
            return -EPROTO;
    }
    go_to(box, box->pages ? INBOX_AT_PAGE : INBOX_AT_HEAD);
    return INBOX_RECORD;
}

static int take_page(struct inbox *box, struct transport *transport)
{
    int err;

    if (box->pages_placed == box->pages_done) {
        memcpy(&box->page, box->body + sizeof(struct wire_pages) + box->pages_done * sizeof(box->page),
               sizeof(box->page));
        box->target = box->place && box->page.len == WIRE_PAGE ? box->place(box->ctx, &box->page) : NULL;
        if (!box->target)
            return -EPROTO;
        box->pages_placed++;
    }
    err = fill(box, transport, box->target, WIRE_PAGE);
    if (err)
        return err;
    go_to(box, ++box->pages_done == box->pages ? INBOX_AT_HEAD : INBOX_AT_PAGE);
    return INBOX_PAGE;
}

int inbox_next(struct inbox *box, struct transport *transport)
{
    int result;

    do {
        switch (box->at) {
        case INBOX_AT_HEADER: result = take_header(box, transport); break;
        case INBOX_AT_HEAD: result = take_head(box, transport); break;
        case INBOX_AT_BODY: result = take_body(box, transport); break;
        default: result = take_page(box, transport); break;
        }
    } while (result == 0);
    return result == -EAGAIN ? INBOX_NOTHING : result;
}

int inbox_body(const struct inbox *box, void *body, size_t len)
{
    if (box->len != len)
        return -EPROTO;
    memcpy(body, box->body, len);
    return 0;
}

void claim_seal(struct wire_claim *claim)
{
    claim->magic = WIRE_CLAIM_MAGIC;
    claim->version = WIRE_VERSION;
    claim->crc = crc32c(0, claim, offsetof(struct wire_claim, crc));
}

int claim_read(struct wire_claim *claim, const u8 *bytes, size_t len)
{
    if (len < sizeof(*claim))
        return -EPROTO;
    memcpy(claim, bytes, sizeof(*claim));
    if (claim->magic != WIRE_CLAIM_MAGIC)
        return -EPROTO;
    if (claim->version < WIRE_VERSION_MIN || claim->version > WIRE_VERSION)
        return -ENOTSUP;
    if (!memchr(claim->name, 0, sizeof(claim->name)))
        return -EPROTO;
    return claim->crc == crc32c(0, claim, offsetof(struct wire_claim, crc)) ? 0 : -EPROTO;
}

void beat_seal(struct wire_beat *beat)
{
    beat->magic = WIRE_BEAT_MAGIC;
    beat->crc = crc32c(0, beat, offsetof(struct wire_beat, crc));
}

int beat_read(struct wire_beat *beat, const u8 *bytes, size_t len)
{
    if (len < sizeof(*beat))
        return -EPROTO;
    memcpy(beat, bytes, sizeof(*beat));
    return beat->magic == WIRE_BEAT_MAGIC && beat->crc == crc32c(0, beat, offsetof(struct wire_beat, crc)) ? 0
                                                                                                           : -EPROTO;
}

bool claim_judges(const struct wire_claim *claim, u64 owner)
{
    return claim->owner < owner;
}

bool claim_prevails(const struct wire_claim *claim, u64 owner, u64 age_ms)
{
    return claim_judges(claim, owner) ? claim->rival == owner : claim->age_ms >= age_ms + WIRE_HEARD_MS;
}

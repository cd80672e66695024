/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts records into a transport and takes them out (docs/migration-stream.md "Form"), a piece at a time: neither side
 * ever blocks.
 *
 * An outbox holds the one record that is being sent; the pages of the record are references to guest memory. An inbox
 * takes bytes as they come and checks each length before it uses it; it puts the contents of pages straight to where
 * the inbox's owner wants them.
 */
#pragma once

#include "dev/codec.h"
#include "host/types.h"
#include "stream/transport.h"
#include "stream/wire.h"

struct outbox {
    u8 *buf;           /* head and body of the record */
    size_t room;       /* bytes of a body */
    struct codec body; /* the body of the record that is being made */
    unsigned pages;    /* of the record; where they follow each other in memory, they are one chunk */
    struct chunk chunk[1 + WIRE_BATCH];
    unsigned chunks, next; /* chunks to send; the first chunk that isn't sent whole */
    u32 seq;
    u64 bytes;   /* accepted by transports, ever */
    bool failed; /* a body didn't fit: our own mistake */
};

/* Make an empty outbox for bodies of at most `room` bytes, a multiple of 8; a header always fits. Returns 0 or
 * -ENOMEM. */
int outbox_init(struct outbox *box, size_t room);
void outbox_fini(struct outbox *box);

/* Begin a new connection: sequence numbers begin again, and what was not sent is dropped. */
void outbox_reset(struct outbox *box);

/* Is everything sent? Only then may the next record begin. */
static inline bool outbox_empty(const struct outbox *box)
{
    return box->next == box->chunks;
}

/* Put this header, before any record. Fills in its magic number and its CRC. */
void outbox_header(struct outbox *box, struct wire_header *header);

/* What a header says beside the versions that we speak. */
struct greeting {
    enum wire_kind kind;
    const u8 *vm_id; /* NULL: it is about no VM */
    u64 epoch;
    u64 features, required; /* WIRE_FEATURE_* */
};

/* Put a header that says so. */
void outbox_greet(struct outbox *box, const struct greeting *greeting);

/* Make a record: outbox_begin, codec_bytes into box->body, outbox_page for each page (after all of these), outbox_end.
 * outbox_record does all of it for a body that is ready. */
void outbox_begin(struct outbox *box);
void outbox_page(struct outbox *box, const void *page);
void outbox_end(struct outbox *box, u32 type);
void outbox_record(struct outbox *box, u32 type, const void *body, size_t len);

/* Drop the record that was begun. */
static inline void outbox_cancel(struct outbox *box)
{
    box->chunks = box->next = 0;
}

/* Send as much as the transport takes. Returns 0: all is sent; -EAGAIN: not all yet; another -errno: the connection is
 * gone. */
int outbox_flush(struct outbox *box, struct transport *transport);

/* Take what is to be sent, without a transport. Returns how many bytes, at most `room`. */
size_t outbox_take(struct outbox *box, void *bytes, size_t room);

/* The bytes of the record with this head, in all: a length that isn't judged yet. */
u64 record_bytes(const struct wire_record *head);

enum inbox_event {
    INBOX_NOTHING, /* no more bytes now */
    INBOX_HEADER,  /* inbox->header */
    INBOX_RECORD,  /* inbox->type, body, len. For PAGES: the entries; contents follow as INBOX_PAGE */
    INBOX_PAGE,    /* inbox->page, contents in inbox->target */
};

struct inbox {
    u8 *buf;     /* head and body */
    size_t room; /* bytes of a body */
    enum { INBOX_AT_HEADER, INBOX_AT_HEAD, INBOX_AT_BODY, INBOX_AT_PAGE } at;
    size_t have; /* bytes received of the part that `at` names */
    u32 seq;
    u64 bytes; /* received, ever */

    struct wire_header header;
    u32 type;       /* with the bit WIRE_OPTIONAL */
    const u8 *body; /* valid until the next call */
    size_t len;

    u32 pages, pages_placed, pages_done; /* of a PAGES record: in all, with a target, whole */
    struct wire_page page;
    u8 *target;

    /* Returns where the contents of a page go: WIRE_PAGE bytes; or NULL: there is no such page, and the stream is
     * broken. Called once for each page. */
    u8 *(*place)(void *ctx, const struct wire_page *page);
    void *ctx;
};

/* As outbox_init; a record with a longer body breaks the rules of the stream. */
int inbox_init(struct inbox *box, size_t room, u8 *(*place)(void *ctx, const struct wire_page *page), void *ctx);
void inbox_fini(struct inbox *box);

/* The header of this connection was received by other code: inbox_next returns it as if it came now. */
void inbox_received(struct inbox *box, const struct wire_header *header);

void inbox_reset(struct inbox *box);

/*
 * Take bytes until something is whole. Returns enum inbox_event; or the transport's -errno; or -EPROTO: the stream
 * breaks its rules, and nothing after that can be trusted. The caller judges a header's version and kind.
 */
int inbox_next(struct inbox *box, struct transport *transport);

/* Is nothing half received? */
static inline bool inbox_whole(const struct inbox *box)
{
    return box->at <= INBOX_AT_HEAD && !box->have;
}

/* A claim (docs/claims.md). claim_seal: fill in what is the same in all claims, and the CRC.
 * claim_read: returns 0 with *claim checked; -ENOTSUP if it is of a version that we don't know, or -EPROTO if the bytes
 * are no claim. */
void claim_seal(struct wire_claim *claim);
int claim_read(struct wire_claim *claim, const u8 *bytes, size_t len);

/* The same for a beat. */
void beat_seal(struct wire_beat *beat);
int beat_read(struct wire_beat *beat, const u8 *bytes, size_t len);

/* Two machines own a VM under one epoch: is the one that claims the judge of both, rather than `owner`? The machine
 * with the lower number is the judge. */
bool claim_judges(const struct wire_claim *claim, u64 owner);

/* Does the claimed copy stay, rather than ours, which `owner` has had for age_ms? The judge decides by age; the other
 * owner obeys the judge's claims. If both were to judge, the time that a claim is under way could make them differ, and
 * two copies would run on. */
bool claim_prevails(const struct wire_claim *claim, u64 owner, u64 age_ms);

/* After inbox_next has failed with -EPROTO: does the peer speak TLS, instead of this stream? */
bool inbox_heard_tls(const struct inbox *box);

/* Copy out the record's body, which must have exactly this size. Returns 0 or -EPROTO. */
int inbox_body(const struct inbox *box, void *body, size_t len);

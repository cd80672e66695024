/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records into and out of a transport (docs/migration-stream.md "Form"), a piece at a time: neither side ever blocks.
 *
 * An outbox holds the one record that is being sent; pages are references to guest memory. An inbox takes bytes as they
 * come and checks each length before it uses it; contents of pages go straight to where its owner wants them.
 */
#pragma once

#include "host/stream.h"
#include "host/types.h"
#include "migrate/transport.h"
#include "migrate/wire.h"

struct outbox {
    u8 *buf;            /* head and body of the record */
    size_t room;        /* bytes of a body */
    struct writer body; /* of the record that is being made */
    struct chunk chunk[1 + WIRE_BATCH];
    unsigned chunks, next; /* to send; the first that isn't sent whole */
    u32 seq;
    u64 bytes;   /* accepted by transports, ever */
    bool failed; /* a body didn't fit: we are wrong */
};

/* An empty outbox for bodies of at most `room` bytes, a multiple of 8; at least a header fits. Returns 0 or -ENOMEM. */
int outbox_init(struct outbox *box, size_t room);
void outbox_fini(struct outbox *box);

/* A new connection: sequence numbers begin again, and what was not sent is dropped. */
void outbox_reset(struct outbox *box);

/* Is everything sent? Only then may the next record begin. */
static inline bool outbox_empty(const struct outbox *box)
{
    return box->next == box->chunks;
}

/* The header, before any record. Fills in its CRC. */
void outbox_header(struct outbox *box, struct wire_header *header);

/* A record: begin, put_*() into box->body, pages (each after all puts), end. outbox_record is all for a fixed body. */
void outbox_begin(struct outbox *box);
void outbox_page(struct outbox *box, const void *page);
void outbox_end(struct outbox *box, u32 type);
void outbox_record(struct outbox *box, u32 type, const void *body, size_t len);

/* The record that was begun is not wanted. */
static inline void outbox_cancel(struct outbox *box)
{
    box->chunks = box->next = 0;
}

/* Send what the transport takes. Returns 0: all sent; -EAGAIN: not yet; another -errno: the connection is gone. */
int outbox_flush(struct outbox *box, struct transport *transport);

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
    size_t have; /* bytes of what it is at */
    u32 seq;
    u64 bytes; /* received, ever */

    struct wire_header header;
    u32 type;       /* with WIRE_OPTIONAL */
    const u8 *body; /* valid until the next call */
    size_t len;

    u32 pages, pages_done; /* of a PAGES record */
    struct wire_page page;
    u8 *target;

    /* Where contents of a page go: WIRE_PAGE bytes, or NULL: no such page, the stream is broken. */
    u8 *(*place)(void *ctx, const struct wire_page *page);
    void *ctx;
};

/* As outbox_init; a longer body breaks the rules. */
int inbox_init(struct inbox *box, size_t room, u8 *(*place)(void *ctx, const struct wire_page *page), void *ctx);
void inbox_fini(struct inbox *box);

/* Its header was received by somebody else: inbox_next gives it as if it came now. */
void inbox_received(struct inbox *box, const struct wire_header *header);

void inbox_reset(struct inbox *box);

/*
 * Take bytes until something is whole. Returns enum inbox_event, or -errno of the transport, or -EPROTO: the stream
 * breaks its rules and nothing after can be trusted. A header's version and kind are the caller's to judge.
 */
int inbox_next(struct inbox *box, struct transport *transport);

/* Has it nothing that is half received? */
static inline bool inbox_whole(const struct inbox *box)
{
    return box->at <= INBOX_AT_HEAD && !box->have;
}

/* A claim (docs/migration-stream.md "Claims"). seal: fill in what all claims have alike, and the CRC. read: returns 0
 * with *claim checked, or -EPROTO: it is none of ours. */
void claim_seal(struct wire_claim *claim);
int claim_read(struct wire_claim *claim, const u8 *bytes, size_t len);

/* Of two owners of one epoch, is the one that claims the judge of both, rather than `owner`? The lower number is. */
bool claim_judges(const struct wire_claim *claim, u64 owner);

/* Does the claimed copy stay, rather than ours, which `owner` has had for age_ms? The judge decides by age; the other
 * owner goes by what the judge's claims say. Were both to judge, the time that a claim is under way could make them
 * differ, and two copies run on. */
bool claim_prevails(const struct wire_claim *claim, u64 owner, u64 age_ms);

/* Copy out a body of exactly this size. Returns 0 or -EPROTO. */
int inbox_body(const struct inbox *box, void *body, size_t len);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A record whose bytes pass is not kept: the destination asks for a few bytes at a time, and gets them from the file.
 * Only heads are looked at first. END goes to an inbox, as header and RESERVE did, which checks its CRC and its number.
 */
#include "save/image_reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/bits.h"

#define OPENING_ROOM 4096 /* bytes of a body: of RESERVE at most */
#define CUT_OFF "the image is cut off"
#define BROKEN "the image is damaged, or is none"

/* What is to be said to the destination, in this order. */
#define SAY_HEADER 1u
#define SAY_RESERVE 2u
#define SAY_PREPARE 4u
#define SAY_COMMIT 8u
#define SAY_ABORT 16u
#define SAY_END 32u

/* --- The file --------------------------------------------------------------------------------------------------- */

/* The inbox reads on from the head that was looked at. */
static long inbox_receive(struct transport *transport, void *bytes, size_t len)
{
    struct image_reader *r = transport->ctx;
    size_t back = MIN(len, r->head_have - r->head_back);

    if (!back)
        return r->file.ops->receive(&r->file, bytes, len);
    memcpy(bytes, (u8 *)&r->head + r->head_back, back);
    r->head_back += back;
    return (long)back;
}

static int file_next(struct image_reader *r)
{
    static const struct transport_ops ops = { .receive = inbox_receive };
    struct transport file = { .ops = &ops, .ctx = r };

    return inbox_next(&r->inbox, &file);
}

int image_reader_init(struct image_reader *r, const struct transport *file)
{
    *r = (struct image_reader){ .file = *file };
    if (!inbox_init(&r->inbox, OPENING_ROOM, NULL, NULL) && !inbox_init(&r->from, sizeof(r->back), NULL, NULL) &&
        !outbox_init(&r->to, OPENING_ROOM))
        return 0;
    image_reader_fini(r);
    return -ENOMEM;
}

void image_reader_fini(struct image_reader *r)
{
    inbox_fini(&r->inbox);
    inbox_fini(&r->from);
    outbox_fini(&r->to);
}

static void fail(struct image_reader *r, enum wire_code error, const char *reason)
{
    if (r->status >= READER_RUNNING)
        return;
    r->say = r->status == READER_PREPARED ? SAY_ABORT : 0;
    r->status = READER_FAILED;
    r->error = error;
    snprintf(r->reason, sizeof(r->reason), "%s", reason);
}

void image_reader_fail(struct image_reader *r, enum wire_code error, const char *reason)
{
    if (r->status != READER_COMMITTED)
        fail(r, error, reason);
}

static void file_fails(struct image_reader *r, int err)
{
    if (err == -EPROTO)
        fail(r, WIRE_E_STREAM, BROKEN);
    else
        fail(r, WIRE_E_LINK, CUT_OFF);
}

static void take_header(struct image_reader *r)
{
    char version[WIRE_REASON];

    r->header = r->inbox.header;
    r->bytes = sizeof(r->header);
    snprintf(version, sizeof(version), "the image has version %u, expected %u", r->header.version_min, WIRE_VERSION);
    if (r->header.kind != WIRE_IMAGE)
        fail(r, WIRE_E_STREAM, "this is no image");
    else if (r->header.version_min > WIRE_VERSION || r->header.version_max < WIRE_VERSION_MIN)
        fail(r, WIRE_E_VERSION, version);
    else if (r->header.required & ~WIRE_FEATURE_VERIFY)
        fail(r, WIRE_E_FEATURE, "the image needs a feature that is unknown here");
}

static void take_reserve(struct image_reader *r)
{
    if (r->inbox.type != WIRE_RESERVE || r->inbox.len < sizeof(r->reserve)) {
        fail(r, WIRE_E_STREAM, BROKEN);
        return;
    }
    memcpy(&r->reserve, r->inbox.body, sizeof(r->reserve));
    r->reserve.name[WIRE_NAME - 1] = 0;
    r->bytes += sizeof(struct wire_record) + align_up(r->inbox.len, 8);
    r->records = 1;
    r->status = READER_OPENED;
}

static void open(struct image_reader *r)
{
    while (r->status == READER_OPENING) {
        int event = file_next(r);

        if (event == INBOX_NOTHING)
            return;
        if (event == INBOX_HEADER)
            take_header(r);
        else if (event == INBOX_RECORD)
            take_reserve(r);
        else
            file_fails(r, event);
    }
}

/* --- To the destination ----------------------------------------------------------------------------------------- */

void image_reader_begin(struct image_reader *r, const struct image_identity *identity)
{
    r->identity = *identity;
    r->say = SAY_HEADER | SAY_RESERVE;
    r->status = READER_RESERVING;
}

void image_reader_pass(struct image_reader *r)
{
    r->status = READER_PASSING;
}

void image_reader_commit(struct image_reader *r)
{
    r->say = SAY_COMMIT;
    r->status = READER_COMMITTED;
}

static void say_header(struct image_reader *r)
{
    const struct greeting greeting = {
        .kind = WIRE_MOVE, .vm_id = r->identity.vm_id, .epoch = r->identity.epoch, .features = WIRE_FEATURE_VERIFY
    };

    outbox_greet(&r->to, &greeting);
}

/* As the image has it, but for who the VM is. */
static void say_reserve(struct image_reader *r)
{
    struct wire_reserve reserve = r->reserve;

    memcpy(reserve.name, r->identity.name, WIRE_NAME);
    memcpy(reserve.mac, r->identity.mac, WIRE_MAC);
    memcpy(reserve.taken_mac, r->identity.taken_mac, WIRE_MAC);
    reserve.flags &= r->identity.clone ? 0 : WIRE_VERIFY;
    reserve.flags |= (u32)field_set(WIRE_MODE, 0, WIRE_MODE_IMAGE);
    reserve.owner = 0; /* no machine runs the VM on */
    outbox_begin(&r->to);
    codec_bytes(&r->to.body, &reserve, sizeof(reserve));
    codec_bytes(&r->to.body, (void *)(r->inbox.body + sizeof(reserve)), r->inbox.len - sizeof(reserve));
    outbox_end(&r->to, WIRE_RESERVE);
}

static void say_handoff(struct image_reader *r, u32 type)
{
    struct wire_handoff message = { .epoch = r->identity.epoch,
                                    .state_digest = r->end.state_digest,
                                    .memory_digest = r->end.memory_digest };

    outbox_record(&r->to, type, &message, sizeof(message));
}

/* Make the next of the words that wait. False: there are none. */
static bool say(struct image_reader *r)
{
    unsigned next = r->say & -r->say;

    r->say &= ~next;
    switch (next) {
    case SAY_HEADER: say_header(r); return true;
    case SAY_RESERVE: say_reserve(r); return true;
    case SAY_PREPARE: say_handoff(r, WIRE_PREPARE); return true;
    case SAY_COMMIT: say_handoff(r, WIRE_COMMIT); return true;
    case SAY_ABORT: say_handoff(r, WIRE_ABORT); return true;
    case SAY_END: outbox_record(&r->to, WIRE_END, NULL, 0); return true;
    default: return false;
    }
}

/* Does a record of this type belong into an image? END is judged apart. */
static bool is_content(u32 type)
{
    return type == WIRE_PAGES || type == WIRE_ZERO || type == WIRE_STATE || type == WIRE_ROUND ||
           type == WIRE_KEEPALIVE;
}

/* The head of the next record is there. Returns 0 or -EPROTO. */
static int begin_record(struct image_reader *r)
{
    if (r->head.type == WIRE_END) {
        r->ending = true;
        r->inbox.seq = (u32)r->records;
        return 0;
    }
    if (!is_content(r->head.type) || r->head.len < 8)
        return -EPROTO;
    r->left = record_bytes(&r->head);
    return 0;
}

/* Read on in the head of the next record. Returns 0 when it is whole, or -errno. */
static int read_head(struct image_reader *r)
{
    while (r->head_have < sizeof(r->head)) {
        long got = r->file.ops->receive(&r->file, (u8 *)&r->head + r->head_have, sizeof(r->head) - r->head_have);

        if (got <= 0)
            return got ? (int)got : -EAGAIN;
        r->head_have += (size_t)got;
    }
    return begin_record(r);
}

/* Nothing is behind END, and all is there that was written. */
static int check_end(struct image_reader *r)
{
    u8 more;
    long got = r->file.ops->receive(&r->file, &more, 1);

    if (got == -EAGAIN)
        return -EAGAIN;
    if (got != -EPIPE || r->end.bytes != r->bytes || r->end.records != r->records)
        return -EPROTO;
    r->ended = true;
    r->say = SAY_PREPARE;
    r->to.seq = (u32)r->records;
    return 0;
}

/* Read on in END. Returns 0 when it is judged, or -errno. */
static int read_end(struct image_reader *r)
{
    int event = r->inbox.type == WIRE_END ? INBOX_RECORD : file_next(r);

    if (event == INBOX_NOTHING)
        return -EAGAIN;
    if (event != INBOX_RECORD)
        return event < 0 ? event : -EPROTO;
    if (inbox_body(&r->inbox, &r->end, sizeof(r->end)))
        return -EPROTO;
    return check_end(r);
}

/* Let bytes of the record pass: its head first, which was looked at. Returns how many, or -errno. */
static long pass(struct image_reader *r, void *bytes, size_t len)
{
    long got = inbox_receive(&(struct transport){ .ctx = r }, bytes, MIN((u64)len, r->left));

    if (got <= 0)
        return got ? got : -EAGAIN;
    r->left -= (u64)got;
    r->bytes += (u64)got;
    if (!r->left) {
        r->records++;
        r->head_have = r->head_back = 0;
    }
    return got;
}

static long next_bytes(struct image_reader *r, void *bytes, size_t len)
{
    int err = 0;

    if (r->ended)
        return -EAGAIN;
    if (!r->left && !r->ending)
        err = read_head(r);
    if (!err && r->ending)
        err = read_end(r);
    if (err || r->ending)
        return err;
    return pass(r, bytes, len);
}

static long receive(struct transport *transport, void *bytes, size_t len)
{
    struct image_reader *r = transport->ctx;
    long got = 0;

    while (!got) {
        if (outbox_empty(&r->to) && !say(r))
            break;
        got = (long)outbox_take(&r->to, bytes, len);
    }
    if (got)
        return got;
    if (r->status == READER_FAILED)
        return -EPIPE;
    if (r->status != READER_PASSING)
        return -EAGAIN;
    got = next_bytes(r, bytes, len);
    if (!got)
        return receive(transport, bytes, len); /* PREPARE is to be said */
    if (got > 0 || got == -EAGAIN)
        return got;
    file_fails(r, (int)got);
    return -EPIPE;
}

/* --- From the destination -------------------------------------------------------------------------------------- */

static long send(struct transport *transport, const struct chunk *chunks, unsigned count)
{
    struct image_reader *r = transport->ctx;
    long taken = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t part = MIN(chunks[i].len, sizeof(r->back) - r->back_len);

        memcpy(r->back + r->back_len, chunks[i].bytes, part);
        r->back_len += part;
        taken += (long)part;
    }
    return taken ? taken : -EAGAIN;
}

static long back_receive(struct transport *transport, void *bytes, size_t len)
{
    struct image_reader *r = transport->ctx;
    size_t part = MIN(len, r->back_len - r->back_at);

    memcpy(bytes, r->back + r->back_at, part);
    r->back_at += part;
    if (r->back_at == r->back_len)
        r->back_at = r->back_len = 0;
    return part ? (long)part : -EAGAIN;
}

static void take_prepared(struct image_reader *r)
{
    u64 memory_digest = r->identity.clone ? 0 : r->end.memory_digest;
    struct wire_handoff message;

    if (inbox_body(&r->from, &message, sizeof(message)) || r->status != READER_PASSING)
        return;
    r->status = READER_PREPARED;
    if (message.state_digest != r->end.state_digest || message.memory_digest != memory_digest)
        fail(r, WIRE_E_DIGEST, "memory or state is not what was saved: their digests differ");
}

static void take_refused(struct image_reader *r)
{
    struct wire_refused refused;

    if (inbox_body(&r->from, &refused, sizeof(refused)))
        return;
    refused.reason[WIRE_REASON - 1] = 0;
    fail(r, refused.code, refused.reason);
}

static void take_record(struct image_reader *r)
{
    switch (r->from.type) {
    case WIRE_ACCEPTED:
        if (r->status == READER_RESERVING)
            r->status = READER_ACCEPTED;
        return;
    case WIRE_REFUSED: take_refused(r); return;
    case WIRE_PREPARED: take_prepared(r); return;
    case WIRE_RUNNING:
        r->status = READER_RUNNING;
        r->say = SAY_END;
        return;
    case WIRE_ABORTED: fail(r, WIRE_E_CANCEL, "it was given up"); return;
    default: return;
    }
}

void image_reader_step(struct image_reader *r)
{
    static const struct transport_ops ops = { .receive = back_receive };
    struct transport back = { .ops = &ops, .ctx = r };
    int event;

    open(r);
    while ((event = inbox_next(&r->from, &back)) > 0)
        if (event == INBOX_RECORD)
            take_record(r);
    if (r->hung_up)
        fail(r, WIRE_E_LINK,
             r->status == READER_RESERVING ? "too many guests come already, or no memory got free in time"
                                           : "it came too slowly, or was given up here");
}

static u64 unacknowledged(const struct transport *transport)
{
    (void)transport;
    return 0;
}

static void close(struct transport *transport)
{
    ((struct image_reader *)transport->ctx)->hung_up = true;
}

static enum wire_code why(const struct transport *transport, const char **words)
{
    const struct image_reader *r = transport->ctx;

    *words = r->reason;
    return r->error;
}

struct transport image_reader_transport(struct image_reader *r)
{
    static const struct transport_ops ops = {
        .send = send, .receive = receive, .unacknowledged = unacknowledged, .close = close, .why = why
    };

    return (struct transport){ .ops = &ops, .ctx = r };
}

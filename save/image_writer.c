/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A record passes as its bytes do, so nothing is kept but the number of bytes that are left of it. The source's outbox
 * puts the head and the body of a record into one chunk, so the head is there when a record begins.
 */
#include "save/image_writer.h"

#include <errno.h>
#include <string.h>

#include "host/bits.h"
#include "host/clock.h"
#include "host/panic.h"

#define WORDS_ROOM 512 /* bytes of the longest body: ACCEPTED */

int image_writer_init(struct image_writer *w, const struct image_writer_ops *ops, void *ctx,
                      const struct transport *file, bool live)
{
    *w = (struct image_writer){ .ops = ops, .ctx = ctx, .file = *file, .live = live, .last_said = ops->now(ctx) };
    if (!outbox_init(&w->words, WORDS_ROOM) && !outbox_init(&w->last, sizeof(struct wire_image_end)))
        return 0;
    image_writer_fini(w);
    return -ENOMEM;
}

void image_writer_fini(struct image_writer *w)
{
    outbox_fini(&w->words);
    outbox_fini(&w->last);
}

/* --- From the source to the file ------------------------------------------------------------------------------- */

static void answer_header(struct image_writer *w)
{
    const struct greeting reply = {
        .kind = WIRE_REPLY, .vm_id = w->vm_id, .epoch = w->epoch, .features = WIRE_FEATURE_VERIFY
    };

    outbox_greet(&w->words, &reply);
    w->greeted = true;
}

/* The last byte of the header, or of a record, has passed. */
static void passed(struct image_writer *w)
{
    static const struct wire_accepted accepted;

    if (!w->greeted) {
        answer_header(w);
        return;
    }
    w->records++;
    if (w->type == WIRE_RESERVE)
        outbox_record(&w->words, WIRE_ACCEPTED, &accepted, sizeof(accepted));
    w->round_done |= w->type == WIRE_ROUND;
}

/* What is said to a destination, and is no part of an image; nothing follows END, which PREPARE becomes. */
static bool keep_back(struct image_writer *w, const struct chunk *chunk)
{
    if (w->type == WIRE_PREPARE) {
        memcpy(&w->prepare, (const u8 *)chunk->bytes + sizeof(struct wire_record), sizeof(w->prepare));
        w->closing = true;
    }
    return w->closing || w->whole || w->type == WIRE_ABORT || w->type == WIRE_END;
}

/* A header or a record begins. Returns whether it goes to the file. */
static bool begin(struct image_writer *w, const struct chunk *chunk)
{
    struct wire_header header;
    struct wire_record head;

    if (!w->greeted) {
        memcpy(&header, chunk->bytes, sizeof(header));
        memcpy(w->vm_id, header.vm_id, WIRE_ID);
        w->epoch = header.epoch;
        w->left = sizeof(header);
        return true;
    }
    assert(chunk->len >= sizeof(head));
    memcpy(&head, chunk->bytes, sizeof(head));
    w->type = head.type;
    if (keep_back(w, chunk))
        return false;
    if (w->type == WIRE_ROUND)
        memcpy(&w->round, (const u8 *)chunk->bytes + sizeof(head), sizeof(w->round));
    w->left = record_bytes(&head);
    return true;
}

static long put(struct image_writer *w, const struct chunk *chunks, unsigned count)
{
    long total = 0;

    for (unsigned i = 0; i < count; i++) {
        struct chunk chunk = chunks[i];
        long sent;

        chunk.stable &= !w->copies;
        sent = w->file.ops->send(&w->file, &chunk, 1);
        if (sent < 0)
            return total ? total : sent;
        total += sent;
        if ((size_t)sent < chunk.len)
            break;
    }
    return total;
}

static long send(struct transport *transport, const struct chunk *chunks, unsigned count)
{
    struct image_writer *w = transport->ctx;
    long sent;

    if (!w->left && !begin(w, chunks))
        return (long)chunks->len;
    sent = put(w, chunks, count);
    if (sent <= 0)
        return sent;
    w->bytes += (u64)sent;
    w->left -= (u64)sent;
    if (!w->left)
        passed(w);
    return sent;
}

/* --- What the source is told ------------------------------------------------------------------------------------- */

static u64 on_the_way(const struct image_writer *w)
{
    return w->file.ops->unacknowledged(&w->file);
}

/* What was sent without a copy, and is changed later, would be damaged if TCP sent it again when the guest is gone on
 * and no later round corrects it. So a round is over when the other end has it, and the rest goes by copies. */
static void answer_round(struct image_writer *w)
{
    w->round.digest = 0;
    w->round_done = false;
    w->copies = w->live;
    outbox_record(&w->words, WIRE_ROUND_DONE, &w->round, sizeof(w->round));
}

/* Write END. Returns 0 when the image is whole: a guest that will not go on waits until the other end has it. */
static int write_end(struct image_writer *w)
{
    struct wire_image_end end = { w->bytes, w->records, w->prepare.state_digest, w->prepare.memory_digest };
    int err;

    if (!w->last.chunks) {
        w->last.seq = (u32)w->records;
        outbox_record(&w->last, WIRE_END, &end, sizeof(end));
    }
    err = outbox_flush(&w->last, &w->file);
    if (err)
        return err;
    return w->live || !on_the_way(w) ? 0 : -EAGAIN;
}

/* Answer PREPARE when the image is whole. Returns 0, or the file's error. */
static int answer_prepare(struct image_writer *w)
{
    int err = write_end(w);

    if (err)
        return err == -EAGAIN ? 0 : err;
    w->closing = false;
    w->whole = true;
    w->ops->whole(w->ctx);
    outbox_record(&w->words, WIRE_PREPARED, &w->prepare, sizeof(w->prepare));
    return 0;
}

/* A client that takes no more for too long is one that has done nothing: what the other end has of the image is its
 * work. What is on the way may be of HTTP's answer, and of END. */
static void keepalive(struct image_writer *w)
{
    u64 work = w->bytes - MIN(w->bytes, on_the_way(w));

    if (w->greeted && w->ops->now(w->ctx) - w->last_said > WIRE_KEEPALIVE_MS * NS_PER_MS)
        outbox_record(&w->words, WIRE_KEEPALIVE, &work, sizeof(work));
}

/* Make the next words, if there are any. Returns 0 or -errno: the file is gone. */
static int next_words(struct image_writer *w)
{
    u8 unused;
    long got = w->file.ops->receive(&w->file, &unused, 1);
    int err = got < 0 && got != -EAGAIN ? (int)got : 0;

    if (!err && w->closing)
        err = answer_prepare(w);
    else if (!err && w->round_done && !on_the_way(w))
        answer_round(w);
    if (!err && outbox_empty(&w->words))
        keepalive(w);
    return err;
}

static long receive(struct transport *transport, void *bytes, size_t len)
{
    struct image_writer *w = transport->ctx;
    int err = outbox_empty(&w->words) ? next_words(w) : 0;
    size_t taken = outbox_take(&w->words, bytes, len);

    if (!taken)
        return err ? err : -EAGAIN;
    w->last_said = w->ops->now(w->ctx);
    return (long)taken;
}

static u64 unacknowledged(const struct transport *transport)
{
    return on_the_way(transport->ctx);
}

static void close(struct transport *transport)
{
    struct image_writer *w = transport->ctx;

    image_writer_fini(w);
    w->ops->end(w->ctx, w->whole);
}

struct transport image_writer_transport(struct image_writer *w)
{
    static const struct transport_ops ops = {
        .send = send, .receive = receive, .unacknowledged = unacknowledged, .close = close
    };

    return (struct transport){ .ops = &ops, .ctx = w };
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other end of a source (migrate/source.h) that saves its VM: to the source it is a destination, and what the
 * source says goes to a file, as an image (docs/image.md). So a save is a move that ends before COMMIT, and what it
 * says of memory and state is said by the same code. Nothing is kept of what passes.
 */
#pragma once

#include "stream/record.h"
#include "stream/transport.h"

struct image_writer_ops {
    /* Nanoseconds, monotonic. */
    u64 (*now)(void *ctx);
    /* The image is in the file, with its END; the guest, which stands, is about to be let go. */
    void (*whole)(void *ctx);
    /* The source is done with it: the writer is not used any more, and its file is to be closed. `whole`: the image is
     * in the file. */
    void (*end)(void *ctx, bool whole);
};

struct image_writer {
    const struct image_writer_ops *ops;
    void *ctx;
    struct transport file;
    bool live; /* the guest goes on: no bytes of its memory may be left on their way by then */

    bool greeted;       /* the header has passed */
    bool copies;        /* memory is not sent without a copy any more */
    u64 left;           /* bytes of the header or record that is passing */
    u32 type;           /* of the record */
    u64 bytes, records; /* in the file */
    bool round_done;    /* ROUND is to be answered when its pages are at the other end */
    struct wire_round round;
    bool closing, whole; /* PREPARE has come, and END is to be written, or is written */
    struct wire_handoff prepare;
    u8 vm_id[WIRE_ID];
    u64 epoch;
    struct outbox words; /* to the source */
    struct outbox last;  /* END, to the file */
    u64 last_said;       /* ns */
};

/* Begin with a file, which is only written; ops->end closes it. `live`: the guest will go on at once. Returns 0, or
 * -ENOMEM. */
int image_writer_init(struct image_writer *writer, const struct image_writer_ops *ops, void *ctx,
                      const struct transport *file, bool live);

/* Free what a writer has that no source has used. After ops->end there is nothing to free. */
void image_writer_fini(struct image_writer *writer);

/* The source's connection to it. */
struct transport image_writer_transport(struct image_writer *writer);

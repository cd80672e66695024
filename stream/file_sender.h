/* SPDX-License-Identifier: BSD-2-Clause */
/* The files from which a guest starts, on their way out: OFFER, then FILE and DIGEST for each that the other machine
 * needs (docs/migration-stream.md "Files"). Host loop. */
#pragma once

#include "dev/sha256.h"
#include "hv/guest_image.h"
#include "stream/wire.h"

struct kept_file;
struct outbox;

/* Zero: nothing is to be sent. */
struct file_sender {
    struct guest_file file[WIRE_FILES];
    struct kept_file *held[WIRE_FILES];
    unsigned count;
    u32 need;       /* the files that are wanted, a bit each */
    bool asked;     /* OFFER is said */
    bool answered;  /* NEED has come */
    unsigned index; /* of the file that is being sent; `count`: all is said */
    u64 at;         /* its bytes that are said */
    u64 bytes;      /* of all files, said so far */
    struct sha256 sha;
};

/* Begin with what this image starts from, and see to it that it stays. */
void file_sender_init(struct file_sender *sender, const struct guest_image *image);
/* Another connection is to be made: what is needed is asked, and sent, anew. */
void file_sender_again(struct file_sender *sender);
/* Let go of it. */
void file_sender_fini(struct file_sender *sender);

/* NEED has come. Returns NULL, or what is wrong with it, in words: a file that is not here either, above all. */
const char *file_sender_take(struct file_sender *sender, const struct wire_need *need);

/* Is there a record to be made now? Not while NEED has not come, and not after all is said. */
bool file_sender_ready(const struct file_sender *sender);
/* Make it, in an outbox that is empty. */
void file_sender_say(struct file_sender *sender, struct outbox *box);

/* The bytes of files that NEED has named. */
u64 file_sender_needed(const struct file_sender *sender);

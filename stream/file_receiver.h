/* SPDX-License-Identifier: BSD-2-Clause */
/* The files from which a guest starts, on their way in: what OFFER, FILE and DIGEST make of them
 * (docs/migration-stream.md "Files"). Nothing is believed: a file is used only if its length, its SHA-256 and its
 * digest are right, and the SHA-256 is one that the guest may have here (guest/load/digests.h). Host loop. */
#pragma once

#include "dev/sha256.h"
#include "stream/wire.h"

struct inbox;
struct kept_file;

/* Zero: nothing was offered. */
struct file_receiver {
    char guest[WIRE_NAME];              /* whose files they are */
    struct kept_file *kept[WIRE_FILES]; /* those that come, and those that were kept here already */
    u32 need;                           /* those that have not come yet */
    unsigned index;                     /* the file that comes */
    u64 at;                             /* its bytes that have come */
    u64 digest;                         /* of these */
    struct sha256 sha;
};

/* The files are those of which VM, by its id and name, the bytes of its RAM, into which they must fit, and how much may
 * be held for those that are not here. */
struct file_terms {
    const u8 *vm_id;
    const char *guest;
    u64 ram, room;
};

/*
 * The body of an OFFER is in the inbox. There must be memory for the files that are not here, within the terms: those
 * are judged before any is taken. Returns WIRE_OK, with *need to be said; or the code, with *reason: then all is
 * released.
 */
enum wire_code file_receiver_offer(struct file_receiver *receiver, const struct inbox *box,
                                   const struct file_terms *terms, struct wire_need *need, const char **reason);

/* The same of a FILE, and of a DIGEST. */
enum wire_code file_receiver_part(struct file_receiver *receiver, const struct inbox *box, const char **reason);
enum wire_code file_receiver_digest(struct file_receiver *receiver, const struct inbox *box, const char **reason);

/* The bytes of files that are still to come. */
u64 file_receiver_bytes(const struct file_receiver *receiver);

/* Let go of the files: those that no guest starts from will be freed. */
void file_receiver_release(struct file_receiver *receiver);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other end of a destination (migrate/dest.h) that restores a VM: to the destination it is a source, and what it
 * says is read from a file, an image (docs/image.md). So the checks are those of a move. The header and RESERVE are
 * said anew, for the VM comes back under another epoch, perhaps as another VM; pages and state pass as they are.
 * Nothing of a file is trusted: the destination judges what passes, and what is not of an image does not pass.
 */
#pragma once

#include "stream/record.h"
#include "stream/transport.h"

enum image_reader_status {
    READER_OPENING,   /* waits for header and RESERVE */
    READER_OPENED,    /* has them: image_reader_begin */
    READER_RESERVING, /* the destination judges it */
    READER_ACCEPTED,  /* it has made the VM: image_reader_pass */
    READER_PASSING,   /* the destination takes the rest */
    READER_PREPARED,  /* the copy is whole, and agrees with the image: image_reader_commit, or give it up */
    READER_COMMITTED,
    READER_RUNNING, /* it runs */
    READER_FAILED,  /* it never will: `reason` */
};

/* As what the VM comes back. */
struct image_identity {
    u8 vm_id[WIRE_ID];
    u64 epoch;
    char name[WIRE_NAME];
    u8 mac[WIRE_MAC], taken_mac[WIRE_MAC];
    bool clone; /* not the VM that was saved: its state differs from that by who it is, so digests do not hold */
};

struct image_reader {
    enum image_reader_status status;
    struct transport file; /* only read */
    enum wire_code error;  /* why it failed: as a code, and in words */
    char reason[WIRE_REASON];
    bool hung_up; /* the destination is done with it */

    /* As the image has them; valid from READER_OPENED on. */
    struct wire_header header;
    struct wire_reserve reserve;

    struct image_identity identity;
    u64 bytes, records;          /* of the image that have been read whole */
    struct wire_record head;     /* of the next record */
    size_t head_have, head_back; /* bytes of it that came; that were given to `inbox` */
    u64 left;                    /* bytes of the record that is passing */
    bool ending, ended;          /* END is being read; was read */
    struct wire_image_end end;
    struct inbox inbox; /* header, RESERVE, END */

    unsigned say;      /* what is still to be said to the destination */
    struct outbox to;  /* to it */
    struct inbox from; /* what it says */
    u8 back[1024];     /* bytes of that: back[back_at..back_len) */
    size_t back_at, back_len;
};

/* Begin with a file. Its receive() returns -EPIPE behind its last byte. Returns 0, or -ENOMEM. */
int image_reader_init(struct image_reader *reader, const struct transport *file);

/* Once it has hung up, or has never begun. */
void image_reader_fini(struct image_reader *reader);

/* Do all that can be done now without waiting. Look at `status` then. */
void image_reader_step(struct image_reader *reader);

/* In READER_OPENED: say that the VM is this one. The destination is to be given the transport. */
void image_reader_begin(struct image_reader *reader, const struct image_identity *identity);
struct transport image_reader_transport(struct image_reader *reader);

/* In READER_ACCEPTED: let the rest pass. */
void image_reader_pass(struct image_reader *reader);

/* In READER_PREPARED: let it run. */
void image_reader_commit(struct image_reader *reader);

/* The VM is not to run: give the copy up, for this reason, unless COMMIT was said. */
void image_reader_fail(struct image_reader *reader, enum wire_code error, const char *reason);

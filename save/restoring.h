/* SPDX-License-Identifier: BSD-2-Clause */
/* Restores virtual machines from images, on this machine (docs/image.md). Host loop. */
#pragma once

#include "stream/transport.h"
#include "stream/wire.h"

struct restore_request {
    char name[WIRE_NAME]; /* of the VM; "": as the image says */
    bool paused;          /* it is paused at first */
    bool new_identity;    /* it is another VM, a clone, with a MAC of its own */
};

/* How a restore has ended. */
struct restored {
    bool done; /* the VM is here; else `reason` says why not */
    char name[WIRE_NAME];
    u8 vm_id[WIRE_ID];
    u64 epoch;
    u8 mac[WIRE_MAC]; /* of its card */
    bool clone;       /* its guest's driver has read another one there */
    char reason[WIRE_REASON + 40];
};

/* What an operator has to do in the guest before that has a network: "" if it is no clone. */
void restored_note(const struct restored *restored, char *text, size_t room);

#define RESTORING_MAX 4         /* at a time, as many as moves to here */
#define RESTORING_OPEN_MS 10000 /* for the guest's description to come; then the destination's limits hold */

/* Begin to restore from a file, whose receive() returns -EPIPE behind its last byte, and which is only read. `over` is
 * called once, when the end is known; the file isn't used afterwards. Returns 0, -EBUSY (too many are under way) or
 * -ENOMEM. */
int restoring_begin(const struct restore_request *request, const struct transport *file,
                    void (*over)(void *ctx, const struct restored *restored), void *ctx);

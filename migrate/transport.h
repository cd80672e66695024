/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a migration needs of a connection: four functions that never block. The hypervisor has them over TCP, tests
 * over a pipe in memory.
 */
#pragma once

#include "host/types.h"

/* Some bytes to send. */
struct chunk {
    const void *bytes;
    size_t len;
    bool stable; /* the memory outlives the connection (guest RAM): may be sent without a copy. Else copy it now */
};

struct transport {
    const struct transport_ops *ops;
    void *ctx;
};

struct transport_ops {
    /* Take bytes from the front of chunks[0..count). Returns how many, more than 0, or -EAGAIN: no room now; or another
     * -errno: the connection is gone. */
    long (*send)(struct transport *transport, const struct chunk *chunks, unsigned count);
    /* Put up to len bytes, in order. Returns how many, more than 0, or -EAGAIN: none here now; or another -errno: the
     * connection is gone (-EPIPE: closed by the peer, everything before has been received). */
    long (*receive)(struct transport *transport, void *bytes, size_t len);
    /* Has the peer's end said that all that was sent is there? Until then stable memory may be read. The source's;
     * false if the connection is gone. */
    bool (*drained)(const struct transport *transport);
    /* End it, and free it: bytes accepted by send() are still delivered if the peer lives. Not used afterwards. */
    void (*close)(struct transport *transport);
};

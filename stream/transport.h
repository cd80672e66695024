/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a migration needs of a connection: a few functions that never block. The hypervisor implements them over TCP,
 * the tests over a pipe in memory.
 */
#pragma once

#include "stream/wire.h"

/* Some bytes to send. */
struct chunk {
    const void *bytes;
    size_t len;
    bool stable; /* the memory outlives the connection (guest RAM) and may be sent without a copy. Else copy it now */
};

struct transport {
    const struct transport_ops *ops;
    void *ctx;
};

struct transport_ops {
    /* Take bytes from the front of chunks[0..count). Returns how many were taken, more than 0; -EAGAIN: no room now; or
     * another -errno: the connection is gone. */
    long (*send)(struct transport *transport, const struct chunk *chunks, unsigned count);
    /* Put up to len received bytes there, in order. Returns how many, more than 0; -EAGAIN: none have come; or another
     * -errno: the connection is gone (-EPIPE: the peer has closed it, and everything before that has been received). */
    long (*receive)(struct transport *transport, void *bytes, size_t len);
    /* How many of the bytes that were sent has the peer's end not acknowledged? As long as there are some, stable
     * memory may be read. Only the source calls it. The number stays if the connection is gone. */
    u64 (*unacknowledged)(const struct transport *transport);
    /* End the connection, and free it: bytes that send() has accepted are still delivered if the peer lives. The
     * transport must not be used afterwards. */
    void (*close)(struct transport *transport);
    /* Its peer is no machine, and can say why it has ended or breaks off: the code, and words that outlive the
     * connection; WIRE_OK: nothing more than that. NULL: it never can. */
    enum wire_code (*why)(const struct transport *transport, const char **words);
};

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has come over a connection of TLS: pbufs wait here until they make a whole record, which is authenticated and
 * decrypted in them. Inside net/ only. Host loop.
 */
#pragma once

#include <lwip/pbuf.h>

#include "tls/seal.h"

struct tls_in {
    struct seal seal;
    struct pbuf *waiting, *last; /* linked by `next`: tot_len counts too little */
    size_t have;                 /* bytes of these */
};

void tls_in_fini(struct tls_in *in);

/* These pbufs have come. */
void tls_in_append(struct tls_in *in, struct pbuf *p);

/* Take up to len bytes as they came. Returns how many. */
size_t tls_in_take(struct tls_in *in, void *bytes, size_t len);

/* A record, in pbufs that belong to the caller. */
struct tls_opened {
    u8 type;           /* enum seal_type */
    struct pbuf *data; /* NULL: it has none */
    size_t len;        /* of the data */
};

/* Open the next record. Returns 0; -EAGAIN: it is not whole yet; -EPROTO: what has come is no record; -EBADMSG: the
 * peer has not sent this record; -ENOMEM. After the latter three nothing more can be understood. Of len bytes that a
 * record gives, SEAL_HEADER + SEAL_TAG more have been taken. */
int tls_in_next(struct tls_in *in, struct tls_opened *opened);

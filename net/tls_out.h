/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The records of TLS that a connection sends, in order. Bytes are encrypted from where they are into the open record; a
 * sealed one goes to lwIP, which sends it from where it is, and again if it was lost; it is freed when all of it has
 * been acknowledged. Inside net/ only. Host loop.
 */
#pragma once

#include <lwip/altcp.h>

#include "host/list.h"
#include "tls/seal.h"

struct tls_record;

struct tls_out {
    struct altcp_pcb *inner; /* to which the records go */
    u64 *sent;               /* counts bytes of records */
    struct seal seal;
    struct list spare;       /* empty records */
    struct list records;     /* the last one may be open */
    struct tls_record *open; /* or NULL */
    size_t usual;            /* bytes of the record that was sealed last */
    size_t hello;            /* bytes that went before the first record, and are not acknowledged */
    bool said_close;         /* close_notify is the last record */
    bool shut;               /* lwIP knows that nothing follows */
};

void tls_out_init(struct tls_out *out, struct altcp_pcb *inner, u64 *sent);
void tls_out_fini(struct tls_out *out);

/* Encrypt all of these bytes, if there is room for them. False: nothing was done. */
bool tls_out_add(struct tls_out *out, const void *bytes, size_t len);

/* Seal what is open, and give lwIP what it takes. */
void tls_out_push(struct tls_out *out);

/* Give lwIP what it takes of the sealed records. False: some are left. */
bool tls_out_flush(struct tls_out *out);

/* Say close_notify, behind which nothing follows. Without memory for it the peer takes the end for a broken line. */
void tls_out_end(struct tls_out *out);

/* The peer has acknowledged bytes of the connection. Returns how many of those that were added have arrived with this:
 * those of whole records. */
size_t tls_out_acknowledged(struct tls_out *out, size_t len);

/* Has all arrived, the end included? */
bool tls_out_is_over(const struct tls_out *out);

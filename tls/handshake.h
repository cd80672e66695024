/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The handshake of TLS 1.2: between two hypervisors that have a common key (keyring.h); with a client to which we show
 * our certificate (certificate.h); or with a server that shows us one of our CA (authority.h). All are ECDHE, so that
 * who learns a key later can't read what was said before. mbedTLS does it; then its context goes, and seals (seal.h)
 * are what is left of a connection. Nothing blocks. Host loop.
 */
#pragma once

#include "tls/keyring.h"
#include "tls/seal.h"

struct handshake;

/* Which of the two ends is this, and who is at the other one? */
enum handshake_role {
    HANDSHAKE_TO_PEER,     /* a client, of a hypervisor that has our key; it speaks first */
    HANDSHAKE_OF_PEER,     /* a server, of such a hypervisor */
    HANDSHAKE_OF_STRANGER, /* a server, of anybody: we show our certificate */
    HANDSHAKE_TO_SERVER,   /* a client: either shows its certificate */
};

/* How bytes go and come. Each takes or gives some, and returns how many, more than 0; -EAGAIN: none now; or another
 * -errno: the connection is gone. Not one byte is read beyond the handshake. */
struct handshake_ops {
    long (*send)(void *ctx, const void *bytes, size_t len);
    long (*receive)(void *ctx, void *bytes, size_t len);
};

/* What is agreed. */
struct handshake_result {
    struct seal out, in;     /* for what we send, and receive */
    char peer[KEYRING_NAME]; /* of a peer that is the client: the name that it said; else "" */
};

/* Begin. `host` is the server's address in words, as the server itself knows it, or as the client reaches it: peers
 * must mean the same. NULL: no memory. There is a keyring; for strangers a certificate; for servers a CA, too. */
struct handshake *handshake_begin(enum handshake_role role, const char *host, const struct handshake_ops *ops,
                                  void *ctx);

/*
 * Do all that can be done now. Returns 0: all is agreed; -EAGAIN: bytes must come or go before; or what ended it:
 * -EACCES: the two have no key in common; -ENOPROTOOPT: the peer is a hypervisor without keys; -EPROTO: it speaks
 * something else; -ENOMEM; or what the ops returned. Of a server: -EPERM: the client meant another host, -ELOOP: it has
 * our name. Of a client: -EPERM: the server has said one of these two.
 * HANDSHAKE_TO_SERVER: what authority_fault says of its certificate; -EOPNOTSUPP: it wants none of us; -EACCES: it
 * refuses ours; or -EPROTO, -ENOMEM, and what the ops returned.
 */
int handshake_step(struct handshake *handshake);

/* After 0, once: what was agreed. */
void handshake_take(struct handshake *handshake, struct handshake_result *result);

/* In any state. */
void handshake_free(struct handshake *handshake);

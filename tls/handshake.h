/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The handshake of TLS 1.2 between two hypervisors that have a common key (keyring.h): ECDHE-PSK, so that who learns
 * the key later can't read what was said before. mbedTLS does it; then its context goes, and seals (seal.h) are what is
 * left of a connection. Nothing blocks. Host loop.
 */
#pragma once

#include "tls/keyring.h"
#include "tls/seal.h"

struct handshake;

/* How bytes go and come. Each takes or gives some, and returns how many, more than 0; -EAGAIN: none now; or another
 * -errno: the connection is gone. Not one byte is read beyond the handshake. */
struct handshake_ops {
    long (*send)(void *ctx, const void *bytes, size_t len);
    long (*receive)(void *ctx, void *bytes, size_t len);
};

/* What is agreed. */
struct handshake_result {
    struct seal out, in;     /* for what we send, and receive */
    char peer[KEYRING_NAME]; /* of a client: the name that it said; else "" */
};

/* Begin as the server, or as the client, which speaks first. `host` is the server's address in words, as the server
 * itself knows it, or as the client reaches it: they must be the same. NULL: no memory. There is a keyring. */
struct handshake *handshake_begin(bool server, const char *host, const struct handshake_ops *ops, void *ctx);

/*
 * Do all that can be done now. Returns 0: all is agreed; -EAGAIN: bytes must come or go before; or what ended it:
 * -EACCES: the two have no key in common; -ENOPROTOOPT: the peer is a hypervisor without keys; -EPROTO: it speaks
 * something else; -ENOMEM; or what the ops returned. Of a server: -EPERM: the client meant another host, -ELOOP: it has
 * our name. Of a client: -EPERM: the server has said one of these two.
 */
int handshake_step(struct handshake *handshake);

/* After 0, once: what was agreed. */
void handshake_take(struct handshake *handshake, struct handshake_result *result);

/* In any state. */
void handshake_free(struct handshake *handshake);

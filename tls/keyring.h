/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keyring of keys: the secrets by which hypervisors know each other, from a file of the boot volume (docs/keys.md).
 * Its lines are
 *
 *     group KEY       KEY being 64 hexadecimal digits
 *
 * once or twice: the first key is offered, both are accepted; and those of rights.h, with one or two `key KEY` behind
 * each peer. Lines that are empty or begin with # say nothing. Host loop.
 */
#pragma once

#include "host/types.h"

#define KEYRING_NAME 32 /* of a hypervisor, with the terminator */
#define KEYRING_HOST 48 /* an address in words, without a port; with the terminator */
#define KEYRING_KEY 32
#define KEYRING_TAG 16
#define KEYRING_IDENTITY (KEYRING_NAME + KEYRING_HOST + 9) /* "name>192.0.2.1#0123abcd" */

struct keyring_fault {
    unsigned line; /* 1-based; 0: it is about the whole file */
    const char *words;
};

/* Read the file, in place of what was read before. `name` is this hypervisor's, `now` the time by clock_ns. Returns 0;
 * or with the fault -EINVAL or -ENOMEM: then all is as before. Connections and handshakes that have a key already go
 * on. */
int keyring_read(const char *text, size_t len, const char *name, u64 now, struct keyring_fault *fault);

/* Has a keyring been read? */
bool keyring_present(void);

/* This hypervisor's name; "": there is no keyring. */
const char *keyring_name(void);

/* What anybody may know of a key. */
struct keyring_key {
    const char *peer, *host; /* whose it is; NULL: the group's */
    const char *id;          /* as it is in identities */
    bool offered;            /* else it is only taken */
    u64 since;               /* by clock_ns: when that became so */
};

/* The key of this index, in the order of the file, until the keyring is read anew. False: there is none. */
bool keyring_show(unsigned index, struct keyring_key *shown);

/* What we say as a client that connects to this host: our identity, which names us, the host and the key; and the key.
 */
void keyring_offer(const char *host, char identity[KEYRING_IDENTITY], const u8 **key);

/* A client has connected to this host, which is we, and says this identity. Returns 0, with the client's name and the
 * key; -EACCES: we have no such key, or it says no name; -EPERM: it is meant for another host; -ELOOP: it has our name.
 */
int keyring_find(const char *host, const u8 *identity, size_t len, char name[KEYRING_NAME], const u8 **key);

/* What is said in single frames and datagrams is followed by a tag: HMAC-SHA256, cut to 128 bits, under a key that the
 * first key gives. keyring_tagged: is it the tag of a member of the group, by the first key or the second? A tag does
 * not say when it was made. There is a keyring. */
void keyring_tag(const void *bytes, size_t len, u8 tag[KEYRING_TAG]);
bool keyring_tagged(const void *bytes, size_t len, const u8 tag[KEYRING_TAG]);

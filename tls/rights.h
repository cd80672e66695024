/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a hypervisor that is known by a key of its own may do here, as the keyring says it behind `peer` (docs/keys.md
 * "Peers"). Host loop.
 */
#pragma once

#include "host/types.h"

#define RIGHTS_PEERS 8
#define RIGHTS_GUESTS 8
#define RIGHTS_NAME 32 /* of a hypervisor or a guest, with the terminator */
#define RIGHTS_HOST 16 /* an IPv4 address in words */
#define RIGHTS_WORDS 120

struct rights {
    char name[RIGHTS_NAME];
    char host[RIGHTS_HOST];                  /* where it is reached */
    char guests[RIGHTS_GUESTS][RIGHTS_NAME]; /* it may bring those of these names, or that begin so (`web*`); "": no
                                              * more. None at all: any guest */
    u64 memory; /* bytes that guests from it may hold here while they come; 0: as much as from any host */
    u64 moves;  /* guests from it that may be on their way here at a time; 0: any number */
};

struct rights_table {
    struct rights peer[RIGHTS_PEERS]; /* in the order of the file */
    unsigned count;
};

/* From now on no peer may be at an address (4 bytes) of which `owns` says that it is this machine's own. Boot, once. */
void rights_own(bool (*owns)(const u8 *address));

/* A line of the keyring, for a table that begins as zeros: `peer NAME ADDRESS` begins with a peer; `allow`, `memory`
 * and `moves`, with these `words`, are about the last one. Returns NULL, or what is wrong. */
const char *rights_line(struct rights_table *table, const char *word, char *words);

/* From now on this table counts, which stays the caller's. Until then there are no peers. */
void rights_use(const struct rights_table *table);

/* The peers, in the order of the file; NULL behind the last. */
const struct rights *rights_get(unsigned index);

/* A peer by its name, of `len` characters, or by its address; NULL: there is none. */
const struct rights *rights_of_name(const char *name, size_t len);
const struct rights *rights_of_host(const char *host);

/* The rights of NAME@ADDRESS:PORT, or of ADDRESS:PORT, which has proved no name. NULL: there are no peers, or this is
 * no address, but an image, and there are no bounds. Where there are peers, whoever is none has a connection from
 * before the keyring said so, and may bring nothing by it. */
const struct rights *rights_of_peer(const char *peer);

/* May this hypervisor open a connection to a host: where there are peers, to their addresses alone? Returns true, or
 * false with `words` filled. */
bool rights_reach(const char *host, char words[RIGHTS_WORDS]);

/* Does the peer's `allow` cover a guest of this name? NULL: whoever is no peer has no such bounds. */
bool rights_allow(const struct rights *peer, const char *guest);

/* May NAME@ADDRESS:PORT bring a guest of this name, with which guests from it would hold so many bytes, and be so many?
 * Returns true, or false with `words` filled. Where there are no peers anybody may. */
bool rights_judge(const char *peer, const char *guest, u64 bytes, unsigned moves, char words[RIGHTS_WORDS]);

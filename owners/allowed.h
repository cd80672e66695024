/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a peer whose guests the keyring names (`allow`, docs/keys.md "Peers") may bring, and say over a connection. A
 * guest that is known here is the one whose name it has here, whatever the peer calls it: else a peer could bring its
 * own guest with the vm_id of another one, or claim that one. Host loop.
 */
#pragma once

#include "stream/wire.h"
#include "tls/rights.h"

/* May NAME@ADDRESS:PORT bring the guest with this vm_id, which it calls `name`, with which guests from it would hold so
 * many bytes, and be so many? Returns true, or false with `words` filled. */
bool allowed_guest(const char *peer, const u8 vm_id[WIRE_ID], const char *name, u64 bytes, unsigned moves,
                   char words[RIGHTS_WORDS]);

/* NAME@ADDRESS:PORT asks: fill in what we have to answer. Returns the number of answers. No guest is left to a peer
 * that may not bring it. */
unsigned allowed_answer(const char *peer, const struct wire_claim *question, struct wire_claim answers[WIRE_ANSWERS]);

/* The hypervisor at the address `where` has answered with this claim: act on it, unless it may not bring that guest. */
void allowed_take(const struct wire_claim *claim, const char *where);

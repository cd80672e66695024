/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may have a handshake of TLS with us, and whose turn it is. A handshake takes memory and processor time before
 * anybody has proved a key, so both are shared out by address. Known hosts, which the configuration names or whose key
 * we have seen, have places and time of their own, and strangers can take none of either. Of IPv6 a stranger is a
 * network of 64 bits, in which a machine has as many addresses as it likes.
 *
 * A caller stays valid as long as it has a place. The time is an argument: ns, monotonic. Host loop.
 */
#pragma once

#include "net/tcp_address.h"

struct caller;

/* A client of this address takes a place, and is behind all that wait. */
struct caller *caller_enter(const struct tcp_address *address, u64 now);

/* The place is free again. */
void caller_leave(struct caller *caller);

/* This one has just taken a place. Of whom has the oldest handshake to go for that: the address has too many, or of all
 * addresses the most? NULL: there is room. */
struct caller *caller_crowding(struct caller *newcomer);

/* May work be done for such callers now? Of those that want some, the first in this order has its turn. */
bool caller_may_work(const struct caller *caller, u64 now);
bool caller_is_before(const struct caller *a, const struct caller *b);

/* So much processor time was used for it, just now. */
void caller_worked(struct caller *caller, u64 ns, u64 now);

/* Is this host known? */
bool caller_is_known(const struct tcp_address *address);

/* This host is known from now on: `named` by the configuration, or because it has proved its key. */
void caller_know(const struct tcp_address *address, bool named, u64 now);

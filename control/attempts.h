/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wrong tokens: the address from which many have come is not heard for a while, so that nobody tries all. Of IPv6 an
 * address is a network of 64 bits, in which a machine has as many as it likes. The time is an argument: ns, monotonic.
 * Host loop.
 */
#pragma once

#include "net/tcp_address.h"

/* May a token from there be looked at? */
bool attempts_may(const struct tcp_address *from, u64 now);

/* It was a wrong one. */
void attempts_count(const struct tcp_address *from, u64 now);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The deed of a guest, which the witness keeps: which machine owns the guest, which one may take it over, and under
 * which epoch (docs/failover-protocol.md, "The deed"). It is a text, so that etcdctl shows it:
 *
 *     1 owner 192.0.2.10:4900 3f2a9c0011223344 secondary 192.0.2.11:4900 77aa00000000beef epoch 7
 *
 * No deed is written twice, since its epoch never goes down. Pure.
 */
#pragma once

#include "host/types.h"

#define DEED_MAX 160 /* bytes of its text, with its end */

/* A machine, from one boot to the next. */
struct deed_host {
    u64 owner; /* its owner number (owners/claims.h): what it is known by; 0: none */
    u8 ip4[4]; /* where it can be asked */
    u16 port;
};

struct deed {
    bool present; /* false: there is no deed, and the rest is zero */
    struct deed_host owner;
    struct deed_host secondary; /* none: .owner is 0 */
    u64 epoch;
};

/* Do these say the same? Machines are compared by their owner numbers. */
bool deed_equal(const struct deed *a, const struct deed *b);

/* Write its text; "" if it is not present. */
void deed_text(const struct deed *deed, char text[DEED_MAX]);

/* Read a text. False: it is no deed, exactly as deed_text writes it, or of an epoch
 * above EPOCH_MAX. */
bool deed_parse(const char *text, struct deed *deed);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks each member of the witness, every two seconds, what it holds for the guests that are here: a witness that is not
 * there is known before it is needed, and asked last when it is. Host loop.
 */
#pragma once

#include "hv/vm.h"
#include "owners/etcd.h"

/* What the witness held for a guest when a member was asked last. */
struct witness_record {
    u8 id[VM_ID];
    u64 heard; /* clock_ns; 0: this place is free */
    bool present;
    char value[ETCD_VALUE];
};

/* Begin to watch, if there is a witness. Boot, once, after witness_start. */
void witness_watch_start(void);

/* Of the guest with this identity. NULL: no member has been asked yet. */
const struct witness_record *witness_watch_record(const u8 id[VM_ID]);

/* The witness's key for a guest: "godwit/vm/" and the 32 digits of its identity. */
void witness_key(const u8 id[VM_ID], char key[ETCD_KEY]);

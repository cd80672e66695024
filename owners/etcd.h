/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an etcd is asked, and what its answers mean: the JSON gateway of its version 3.4 ("gRPC gateway" in its manual),
 * of which two calls are used. POST /v3/kv/range reads a key; POST /v3/kv/txn swaps its value: it compares VALUE, or
 * CREATE with 0 for "there is no such key", puts the new value on success, and on failure reads the key. Both are
 * linearizable: a member that can't reach most of the others does not answer. Pure.
 */
#pragma once

#include "host/types.h"

#define ETCD_KEY 64       /* bytes of a key, with its end */
#define ETCD_VALUE 256    /* bytes of a value, with its end */
#define ETCD_REQUEST 2048 /* bytes of a request, with its end */

/* Keys and values are texts. */
struct etcd_question {
    char key[ETCD_KEY];
    bool swap;                 /* false: read */
    bool create;               /* swap: there must be no such key, else its value must be `expected` */
    char expected[ETCD_VALUE]; /* swap, not create */
    char value[ETCD_VALUE];    /* swap: the new one */
};

struct etcd_answer {
    u64 cluster;            /* whose member has answered */
    bool swapped;           /* else the rest is what the key has now */
    bool present;           /* there is such a key */
    char value[ETCD_VALUE]; /* what it has; "" if it is not present. What does not print is '?' */
    char fault[96];         /* why this is no answer to the question, in words; "": it is */
};

/* Write the HTTP request that asks the member at `host` (address and port). Returns its length. */
size_t etcd_request(const struct etcd_question *question, const char *host, char request[ETCD_REQUEST]);

/* Judge an answer of that status with that body, which is a stranger's. */
void etcd_answer(const struct etcd_question *question, int status, const char *body, size_t len,
                 struct etcd_answer *answer);

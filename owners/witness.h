/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The witness: a register that two machines can ask when they don't hear each other, to agree on which of them runs a
 * guest (docs/witness.md). It is an etcd, of one member or several, which the configuration names under [witness].
 *
 * A key's value is changed in one way only: swap the value that was read for a new one. Of two machines that do so at
 * once one wins, whatever their clocks do. The answer to a swap may be lost, and another member may then be asked the
 * same; so a swap may be done later than anybody waits for it, but never twice, as long as **no value comes twice under
 * a key**: whoever makes values puts a number into them that only grows.
 *
 * Nothing here waits. No question waits for another one's connection. Host loop.
 */
#pragma once

#include "config/config.h"
#include "net/http_exchange.h"
#include "owners/etcd.h"

struct witness_request;

#define WITNESS_ANY CONFIG_WITNESSES /* no member in particular */
#define WITNESS_REASON 200

enum witness_result {
    WITNESS_IDLE,        /* nothing has been asked */
    WITNESS_ASKED,       /* there is no answer yet */
    WITNESS_READ,        /* `present` and `value` are what the key had after it was asked for */
    WITNESS_SWAPPED,     /* the key has the new value: by this swap, or by an earlier one with the same value */
    WITNESS_DIFFERENT,   /* not swapped: `present` and `value` are what the key has instead */
    WITNESS_UNREACHABLE, /* no member has answered: `reason` says why */
};

struct witness_outcome {
    enum witness_result result;
    /* Of a swap: a byte of it has been given to a connection. From then on it may be done at any time, even after the
     * result is WITNESS_UNREACHABLE: it is in doubt. It is known to be over when the same swap, asked again, is
     * WITNESS_SWAPPED, or the key has another value than the expected one. */
    bool sent;
    bool present;
    char value[ETCD_VALUE];
    char reason[WITNESS_REASON]; /* of WITNESS_UNREACHABLE */
    u64 ns;                      /* from the question to the result */
};

/* A member of the etcd. */
struct witness_member {
    struct http_server server;
    char url[TCP_ADDRESS_TEXT + 8];
    bool asked;     /* it has answered or failed at least once */
    bool answering; /* the last question to it was answered */
    u64 answered, failed;
    u64 ns;         /* how long its last answer took */
    u64 cluster;    /* whose member it says it is; 0: it has not answered */
    u64 named;      /* clock_ns: when it said so last */
    char fault[96]; /* why its last question failed; "": it did not */
};

/* Results since the boot. */
struct witness_counters {
    u64 read, swapped, different, unreachable;
};

/* Take the configuration. Boot, once, after net_start. */
void witness_start(const struct config_witness *config);

/* Is there a [witness]? Without one each question is WITNESS_UNREACHABLE at once. */
bool witness_configured(void);

/* A place for questions, one at a time. NULL: no memory. witness_close gives up what is under way; NULL is allowed. */
struct witness_request *witness_open(void);
void witness_close(struct witness_request *request);

/*
 * Ask for the value of a key; swap it. `expected`: the value that the key must have; NULL: there must be no such key.
 * Keys are shorter than ETCD_KEY, values than ETCD_VALUE; all are copied. Members are asked one after the other, each
 * for at most the configuration's `timeout`, beginning with the one that answered last, until one answers or none is
 * left. A question that is still under way is given up. The outcome is polled for: it may be there at once.
 */
void witness_read(struct witness_request *request, const char *key);
void witness_swap(struct witness_request *request, const char *key, const char *expected, const char *value);

/* As witness_read, but ask this member only. */
void witness_read_at(struct witness_request *request, unsigned member, const char *key);

/* The present state of the question that was asked last. It stays valid until witness_close. */
const struct witness_outcome *witness_outcome(const struct witness_request *request);

/* The members in the order of the configuration; NULL behind the last. */
const struct witness_member *witness_member(unsigned index);
const struct witness_counters *witness_counters(void);

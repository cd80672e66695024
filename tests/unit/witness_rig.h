/* SPDX-License-Identifier: BSD-2-Clause */
/* Three members of a witness, played by the test from the connection upwards, and one request to them. */
#pragma once

#include "owners/witness.h"

#define KEY "godwit/vm/00112233445566778899aabbccddeeff"
#define TIMEOUT 300 /* ms */
#define SERVERS 3

enum conduct {
    ANSWERS,  /* as an etcd does */
    SAYS,     /* `text`, whatever it is asked */
    SILENT,   /* takes requests and never answers */
    FORGETS,  /* does what it is asked, and breaks the connection off */
    REFUSES,  /* takes no connection */
    VANISHED, /* does not even say that it takes none */
    SHAKES,   /* is in the handshake of each connection, and gets no further */
    JUDGES,   /* as SHAKES, but has refused our certificate in handshakes from before its last start */
    LOSES,    /* as ANSWERS, but nothing comes of connections from before its last start, not even a reset */
    PARTS,    /* as ANSWERS, and says that the connection ends with that */
    REPEATS,  /* as ANSWERS, and says the same once more when the answer was taken */
};

struct server {
    enum conduct conduct;
    const char *text;
    u64 cluster;
    size_t piece;    /* bytes that come at once; 0: all */
    unsigned starts; /* of its machine: it knows nothing of connections from before, and resets them */
    unsigned connections, requests;
};

struct witness_rig {
    struct server server[SERVERS];

    /* What all members hold under KEY: they agree. */
    bool present;
    char held[400];

    struct witness_request *request;
    u64 now;           /* ns */
    unsigned streams;  /* open connections */
    u64 (*poll)(void); /* the witness's host work */
};

extern struct witness_rig rig;

/* For cmocka. After witness_setup all members answer, have answered, and the first one is the one to be asked. */
int witness_group_setup(void **state);
int witness_setup(void **state);
int witness_teardown(void **state);

const struct witness_outcome *outcome(void);

/* Until there is a result. Returns how many ms it took. */
u64 wait_ms(void);

/* Ask, and wait for the result. */
enum witness_result read_key(void);
enum witness_result read_at(unsigned member);
enum witness_result swap(const char *expected, const char *value);

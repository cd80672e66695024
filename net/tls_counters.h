/* SPDX-License-Identifier: BSD-2-Clause */
/* What became of connections of TLS. Host loop. */
#pragma once

#include "host/types.h"

/* With whom, in the order of the answer of `net`. */
enum tls_side { TLS_WITH_PEERS, TLS_WITH_CLIENTS, TLS_WITH_WITNESS, NR_TLS_SIDES };

/* Why a handshake came to nothing, or a connection of two that know each other was broken. */
enum tls_fault {
    TLS_KEYS_DIFFER,
    TLS_NOT_MEANT,     /* a server: the client wants to reach another host */
    TLS_NOT_THAT_HOST, /* a client: the server says that it is not meant, or is named like us */
    TLS_OUR_NAME,
    TLS_NO_KEYS, /* it is a hypervisor without keys */
    TLS_FOREIGN, /* it speaks something else */
    TLS_LATE,
    TLS_GAVE_WAY, /* to other handshakes */
    TLS_NO_MEMORY,
    TLS_ENDED, /* in its handshake */
    TLS_CHANGED,
    TLS_CUT_OFF,
    TLS_ALERT, /* behind the handshake */
    NR_TLS_FAULTS,
};

struct tls_counters {
    struct tls_with {
        u64 completed;      /* handshakes */
        u64 worked;         /* ns of processor time for all of them, the others included */
        u64 sent, received; /* bytes of records */
        u64 active;         /* handshakes that go on */
        u64 failed;         /* not of peers: handshakes that came to nothing, and connections that broke */
    } with[NR_TLS_SIDES];
    u64 fault[NR_TLS_FAULTS]; /* with peers */
};

extern struct tls_counters tls_counters;

/* "peers" ... */
const char *tls_side_name(enum tls_side side);

/* "key", "host" ... */
const char *tls_fault_name(enum tls_fault fault);

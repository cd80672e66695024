/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/tls_counters.h"

struct tls_counters tls_counters;

const char *tls_side_name(enum tls_side side)
{
    static const char *const names[NR_TLS_SIDES] = {
        [TLS_WITH_PEERS] = "peers",
        [TLS_WITH_CLIENTS] = "clients",
        [TLS_WITH_WITNESS] = "witness",
    };

    return names[side];
}

const char *tls_fault_name(enum tls_fault fault)
{
    static const char *const names[NR_TLS_FAULTS] = {
        [TLS_KEYS_DIFFER] = "key", [TLS_NOT_MEANT] = "host",    [TLS_NOT_THAT_HOST] = "host-there",
        [TLS_OUR_NAME] = "name",   [TLS_NO_KEYS] = "no-keys",   [TLS_FOREIGN] = "foreign",
        [TLS_LATE] = "late",       [TLS_GAVE_WAY] = "gave-way", [TLS_NO_MEMORY] = "memory",
        [TLS_ENDED] = "ended",     [TLS_CHANGED] = "changed",   [TLS_CUT_OFF] = "cut-off",
        [TLS_ALERT] = "alert",
    };

    return names[fault];
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What has moved here and away since boot. */
#pragma once

#include "host/types.h"
#include "mm/dirty.h"
#include "policy/predict.h"
#include "stream/wire.h"

struct migration_totals {
    u64 completed, failed, cancelled, active; /* moves away from here; checks don't count */
    u64 arrived;
    u64 left_by[NR_MODES], arrived_by[WIRE_MODES]; /* of those that completed: enum migrate_mode; migrate_said_mode */
    u64 superseded; /* copies here that had to stand still because another machine owns the guest */
    u64 wire_bytes; /* bytes sent by moves that have ended */
    /* Of all moves, those under way, too: */
    u64 postcopy_bytes, postcopy_requests, recoveries; /* struct migrate_stats */
    struct dirty_counters logged; /* what dirty logs have counted in them, up to the last harvest */
    u64 forwarded;                /* frames sent on by moves that have ended */
    u64 incoming, incoming_limit, incoming_limit_per_host; /* bytes held for incoming guests: now, and at most */
    u64 questions;                                         /* questions of peers that were answered */
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* What has moved here and away since boot. */
#pragma once

#include "host/types.h"

struct migration_totals {
    u64 completed, failed, cancelled, active; /* away from here; checks not counted */
    u64 arrived;
    u64 superseded; /* copies here that stood because another machine owns the guest */
    u64 wire_bytes; /* of those that have ended */
    u64 forwarded;  /* frames, of those that have ended */
    u64 incoming, incoming_limit, incoming_limit_per_host; /* bytes held for guests that come, now, and at most */
    u64 questions;                                         /* of peers, that were answered */
};

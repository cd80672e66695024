/* SPDX-License-Identifier: BSD-2-Clause */
/* A token bucket, which keeps a stream within a rate, as a move within max-bandwidth. Pure: the time is an argument. */
#pragma once

#include "host/types.h"

struct bucket {
    u64 rate;   /* bytes/s; 0: no limit */
    u64 burst;  /* bytes that may be saved up; at least as many as one send */
    u64 tokens; /* bytes that may be sent now */
    u64 filled; /* ns: when tokens were counted last */
};

/* A full bucket at time `now` (ns). */
void bucket_init(struct bucket *bucket, u64 rate, u64 burst, u64 now);

/* Use another rate from now on. */
void bucket_set_rate(struct bucket *bucket, u64 rate, u64 now);

/* May `bytes` (at most burst) be sent now? _take: if so they are taken. */
bool bucket_holds(struct bucket *bucket, u64 bytes, u64 now);
bool bucket_take(struct bucket *bucket, u64 bytes, u64 now);

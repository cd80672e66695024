/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/bucket.h"

#include "host/bits.h"
#include "host/clock.h"

#define RATE_MAX GiB(16) /* beyond it there is no limit; below it, a second's worth times a second fits 64 bits */

void bucket_init(struct bucket *bucket, u64 rate, u64 burst, u64 now)
{
    burst = MIN(burst, RATE_MAX);
    *bucket = (struct bucket){ .rate = rate, .burst = burst, .tokens = burst, .filled = now };
}

static void fill(struct bucket *bucket, u64 now)
{
    u64 elapsed = now > bucket->filled ? now - bucket->filled : 0, fresh;

    /* So much time has passed that the bucket is full whatever came before. */
    if (elapsed / NS_PER_S > bucket->burst / bucket->rate) {
        bucket->tokens = bucket->burst;
        bucket->filled = now;
        return;
    }
    fresh = elapsed / NS_PER_S * bucket->rate + elapsed % NS_PER_S * bucket->rate / NS_PER_S;
    if (fresh >= bucket->burst - bucket->tokens) {
        bucket->tokens = bucket->burst;
        bucket->filled = now;
        return;
    }
    bucket->tokens += fresh;
    /* Only the time that made whole bytes is used up, so that nothing is lost at a low rate when the bucket is asked
     * often. */
    bucket->filled += fresh / bucket->rate * NS_PER_S + fresh % bucket->rate * NS_PER_S / bucket->rate;
}

static bool unlimited(const struct bucket *bucket)
{
    return !bucket->rate || bucket->rate > RATE_MAX;
}

void bucket_set_rate(struct bucket *bucket, u64 rate, u64 now)
{
    if (!unlimited(bucket))
        fill(bucket, now);
    bucket->rate = rate;
    bucket->filled = now;
}

bool bucket_holds(struct bucket *bucket, u64 bytes, u64 now)
{
    if (unlimited(bucket))
        return true;
    fill(bucket, now);
    return bucket->tokens >= MIN(bytes, bucket->burst);
}

bool bucket_take(struct bucket *bucket, u64 bytes, u64 now)
{
    if (!bucket_holds(bucket, bytes, now))
        return false;
    bucket->tokens -= unlimited(bucket) ? 0 : MIN(bytes, bucket->burst);
    return true;
}

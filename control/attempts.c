/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/attempts.h"

#include "host/bits.h"
#include "net/bucket.h"

#define ADDRESSES 64 /* the one whose last wrong token was longest ago gives way */
#define AT_ONCE 20   /* wrong tokens; then one a second */
#define EACH 1000    /* a bucket's tokens for one: they come one by one, and not all of a second at its end */

static struct attempts {
    struct tcp_address from; /* port 0; of IPv6 the first 64 bits */
    u64 last;                /* ns; 0: an empty entry */
    struct bucket bucket;
} attempts[ADDRESSES];

static struct tcp_address entry_of(const struct tcp_address *from)
{
    struct tcp_address entry = { .ip6 = from->ip6 };

    memcpy(entry.bytes, from->bytes, from->ip6 ? 8 : 4);
    return entry;
}

/* NULL: none. */
static struct attempts *find(const struct tcp_address *from)
{
    const struct tcp_address entry = entry_of(from);

    for (unsigned i = 0; i < ADDRESSES; i++)
        if (attempts[i].last && tcp_address_equal(&attempts[i].from, &entry))
            return &attempts[i];
    return NULL;
}

bool attempts_may(const struct tcp_address *from, u64 now)
{
    struct attempts *found = find(from);

    return !found || bucket_holds(&found->bucket, EACH, now);
}

void attempts_count(const struct tcp_address *from, u64 now)
{
    struct attempts *found = find(from);

    if (!found) {
        found = &attempts[0];
        for (unsigned i = 1; i < ADDRESSES; i++)
            if (attempts[i].last < found->last)
                found = &attempts[i];
        found->from = entry_of(from);
        bucket_init(&found->bucket, EACH, AT_ONCE * EACH, now);
    }
    found->last = MAX(now, 1ULL);
    bucket_take(&found->bucket, EACH, now);
}

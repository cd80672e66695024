/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/host_work.h"

#include "host/bits.h"
#include "host/panic.h"

#define HOST_WORK_MAX 32

static u64 (*host_work[HOST_WORK_MAX])(void);
static unsigned nr_host_work;
static void (*round_end)(void);

void host_work_add(u64 (*fn)(void))
{
    assert(nr_host_work < HOST_WORK_MAX);
    host_work[nr_host_work++] = fn;
}

void host_work_end_rounds_with(void (*fn)(void))
{
    assert(!round_end);
    round_end = fn;
}

u64 host_work_round(void)
{
    u64 next = ~0ULL;

    for (unsigned i = 0; i < nr_host_work; i++) {
        u64 wish = host_work[i]();

        next = MIN(next, wish);
    }
    if (round_end)
        round_end();
    return next;
}

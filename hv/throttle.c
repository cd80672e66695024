/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/throttle.h"

bool throttle_open(u32 percent, u32 turn, u64 open, u64 now, u64 *until)
{
    u64 period, at;

    *until = ~0ULL;
    if (!percent)
        return true;
    period = open * 100 / (100 - percent);
    at = (now + turn * open) % period;
    *until = now - at + (at < open ? open : period);
    return at < open;
}

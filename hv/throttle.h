/* SPDX-License-Identifier: BSD-2-Clause */
/* When a VM that is kept from running for a part of the time (vm_throttle) may run. Pure. */
#pragma once

#include "host/types.h"

/*
 * Is it let in at `now`? For the first `open` ticks of each period, whose length makes the others `percent` (0 to 99)
 * of it. VMs that are throttled alike are let in one after the other, by `turn`: at most one of 100 / (100 - percent)
 * in succession at a time. *until: when the answer changes, ~0: never.
 */
bool throttle_open(u32 percent, u32 turn, u64 open, u64 now, u64 *until);

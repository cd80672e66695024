/* SPDX-License-Identifier: BSD-2-Clause */
/* Decides when a throttled VM (vm_throttle), which runs only for a part of the time, may run. Pure. */
#pragma once

#include "host/types.h"

/*
 * May the VM run at `now`? It may for the first `open` ticks of each period, and not for the rest, which is `percent`
 * (0 to 99) of the period:
 *
 *     | open 1 ms |           closed 4 ms            |      period 5 ms at 80 %
 *
 * VMs that are throttled alike are let in one after the other, by `turn`: of 100 / (100 - percent) VMs with successive
 * turns at most one may run at a time. *until is set to the time at which the answer changes (~0: never).
 */
bool throttle_open(u32 percent, u32 turn, u64 open, u64 now, u64 *until);

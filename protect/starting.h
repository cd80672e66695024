/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests that this machine would start, where there is a witness: those of its configuration, by a command, and those
 * that have come to start anew here. Each is started only if its deed says that it may be (docs/failover-protocol.md,
 * "Boot"). Until then it is `elsewhere`, `reason` says why, and it is asked again every second. Host loop.
 */
#pragma once

#include "hv/vm.h"

/* Judge these guests from now on. Boot, once. */
void starting_init(void);

/* Part of host work. Returns the time of clock_ns at which to call again. */
u64 starting_poll(void);

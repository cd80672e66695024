/* SPDX-License-Identifier: BSD-2-Clause */
/* The host loop's work: what CPU 0 does in each round, for the network, the guests' devices, moves and commands. */
#pragma once

#include "host/types.h"

/* Add fn to the work of each round, behind what was added before: once, and for good. fn is called on CPU 0 and returns
 * the host TSC by which it wants to be called again (~0: it has no wish). Boot, or the host loop. */
void host_work_add(u64 (*fn)(void));

/* Call fn at the end of each round, for work that is better done once than by every function. One fn only. Boot. */
void host_work_end_rounds_with(void (*fn)(void));

/* Do one round. Returns the earliest TSC that a function has wished for. Host loop. */
u64 host_work_round(void);

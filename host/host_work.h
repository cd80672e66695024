/* SPDX-License-Identifier: BSD-2-Clause */
/* The host loop's work: what CPU 0 does in each round, for the network, the guests' devices, moves and commands. */
#pragma once

#include "host/types.h"

/* fn is called in each round on CPU 0 and returns the host TSC at which it wants to be called again at the latest (~0:
 * no wish). Boot. */
void host_work_add(u64 (*fn)(void));

/* Each round's last work: what is better done once than by each of the others. One function. Boot. */
void host_work_end_rounds_with(void (*fn)(void));

/* One round. Returns the earliest wish. Host loop. */
u64 host_work_round(void);

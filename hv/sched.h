/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which CPU runs which vcpu, and when (docs/scheduling.md). Vcpus are pinned to physical CPUs; the host loop (timers,
 * network, control) belongs to CPU 0. With one CPU it shares that with the vcpus, which a timer preempts; with more,
 * CPU 0 is its own.
 *
 * Everything on a CPU runs to completion on that CPU's one stack: there are no threads. A vcpu's turn ends when its
 * slice is over, when it halts, or when the CPU is kicked.
 */
#pragma once

#include "host/types.h"

struct vcpu;

/* Pin a new vcpu to the least burdened CPU that runs guests. Host loop. */
void sched_add(struct vcpu *vcpu);

/* Take it off its CPU; on return it is not running and not loaded anywhere. Host loop. */
void sched_remove(struct vcpu *vcpu);

/* On return no CPU is still looking for a vcpu to run by what it knew before: whom the caller has paused or holds is
 * passed over. Host loop. */
void sched_settle(void);

/* The run loop of this CPU; never returns. Every CPU ends its boot here. */
void sched_loop(void) __attribute__((noreturn));

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides which CPU runs which vcpu, and when (docs/scheduling.md). Vcpus are pinned to physical CPUs; the host loop
 * (timers, network, control) runs on CPU 0. On a machine with one CPU, the host loop shares it with the vcpus, which a
 * timer preempts; on a machine with more CPUs, the host loop has CPU 0 for itself.
 *
 * All work on a CPU runs to completion on that CPU's one stack: there are no threads. A vcpu's turn ends when its
 * slice is over, when it halts, or when the CPU is kicked.
 */
#pragma once

#include "host/types.h"

struct vcpu;

/* Pin a vcpu to the CPU that runs guests and has the fewest vcpus, and queue it there. Host loop. */
void sched_add(struct vcpu *vcpu);

/* Take the vcpu off its CPU; on return it does not run and is not resident anywhere. Host loop. */
void sched_remove(struct vcpu *vcpu);

/* Wait until no CPU is still choosing a vcpu to run from old information. On return every CPU skips the vcpus that the
 * caller has paused or holds. Host loop. */
void sched_settle(void);

/* The run loop of this CPU; never returns. Every CPU ends its boot here. */
void sched_loop(void) __attribute__((noreturn));

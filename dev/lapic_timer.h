/* SPDX-License-Identifier: BSD-2-Clause */
/* The timer part of the local APIC; for lapic.c only. */
#pragma once

#include "host/types.h"

struct lapic;

/* Stop the timer and give its registers their power-up values. */
void lapic_timer_reset(struct lapic *lapic);

/* Register accesses. A switch into or out of TSC-deadline mode stops the timer. */
void lapic_timer_write_lvt(struct lapic *lapic, u32 value);
void lapic_timer_write_initial_count(struct lapic *lapic, u32 value);
void lapic_timer_write_divide(struct lapic *lapic, u32 value);
u32 lapic_timer_read_current_count(struct lapic *lapic);
u64 lapic_timer_read_tsc_deadline(struct lapic *lapic);
void lapic_timer_write_tsc_deadline(struct lapic *lapic, u64 value);

/* Nanoseconds until the count reaches zero, LAPIC_NEVER if it is stopped or a TSC deadline; and start a count that ends
 * after so many. */
u64 lapic_timer_remaining(const struct lapic *lapic);
void lapic_timer_resume(struct lapic *lapic, u64 remaining);

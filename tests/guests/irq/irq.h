/* SPDX-License-Identifier: BSD-2-Clause */
/* What the interrupt tests share: handlers that count, and waiting for them. */
#pragma once

#include "tests/guests/kit/trap.h"
#include "host/types.h"

#define TIMER_VECTOR 0x50

struct irq_seen {
    unsigned count;
    u64 rip; /* interrupted at, the last time */
};

extern volatile struct irq_seen irq_seen[256];

/* Install a handler that counts in irq_seen and gives EOI, and clear the counter. */
void irq_watch(u8 vector);

/* With interrupts on: whether the count has reached `count` within a time that is long for every machine. */
bool irq_await(u8 vector, unsigned count);

/* With interrupts off: whether the vector becomes pending within such a time. */
bool irq_await_pending(u8 vector);

/* Raise `vector` at this processor and wait until it is pending. Interrupts are off or masked by priority. */
void irq_raise(u8 vector);

/* One function for each file, in its order of running. `mode` is the prefix of the reports. */
void test_mmio_forms(void);
void test_timer(const char *mode);
void test_windows(const char *mode);
void test_priority(const char *mode);
void test_x2apic(void);

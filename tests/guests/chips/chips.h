/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the chips share: interrupt counters, the timers, and measuring against the TSC. */
#pragma once

#include "tests/guests/kit/pic.h"
#include "tests/guests/kit/pit.h"
#include "tests/guests/kit/trap.h"
#include "host/types.h"

#define PIN_VECTOR 0x80 /* of I/O APIC pin 0 */
#define RTC_LINE 8

/* Interrupts by vector; a handler clears its device before it counts. */
extern volatile unsigned seen[256];

/* Count `vector`, calling clear (which may be NULL) first, and giving EOI to the 8259s or to the local APIC. */
void watch(u8 vector, void (*clear)(void), bool pic);

/* Whether the count has reached `count` within a time that is long for every machine. Interrupts on. */
bool await(u8 vector, unsigned count);

u8 cmos_read(u8 index);
void cmos_write(u8 index, u8 value);
void rtc_clear(void); /* read register C */

/* An interval that began and ended between two readings of the TSC each. */
struct interval {
    u64 begin[2], end[2];
};

/* Does it last `ticks` of a clock of `hz`, as far as can be told from these readings? */
bool interval_is(const struct interval *interval, u64 ticks, u64 hz);

/* One function for each file, in its order of running. */
void test_pic(void);
void test_ioapic(const char *mode);
void test_clocks(void);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's local APIC, xAPIC or x2APIC, chosen once on the boot processor: x2APIC where CPUID has it (SDM 3A
 * "APIC").
 */
#pragma once

#include "host/types.h"

/*
 * Enable this CPU's LAPIC: spurious vector set, LVTs masked but for the machine's NMI on the boot processor. That comes
 * first.
 */
void apic_init(void);

/* This CPU's APIC id. After apic_init. */
u32 apic_id(void);

/* Fixed interrupt, NMI, INIT and start-up IPIs to one CPU by APIC id. Waits until the LAPIC has taken the command. */
void apic_send(u32 destination, u8 vector);
void apic_send_nmi(u32 destination);
void apic_send_init(u32 destination);
void apic_send_init_others(void); /* to all but this one */
void apic_send_startup(u32 destination, u8 page);

/* The interrupt in service has been handled. */
void apic_eoi(void);

/*
 * This CPU's one-shot timer: IRQ_TIMER when the TSC reaches `deadline`, at once if that is past; ~0 disarms it.
 * Uses TSC-deadline mode where CPUID has it, else the calibrated count. Costs nothing if it is armed so already.
 */
void apic_timer_arm(u64 deadline);

/* IRQ_TIMER has come: the timer is not armed any more. */
void apic_timer_fired(void);

/*
 * Is its interrupt overdue by 2 ms? Then the timer counts as fired: QEMU 7.2 loses interrupts (docs/svm.md). To be
 * asked before a guest is entered by who relies on the timer to get the CPU back. Interrupts off.
 */
bool apic_timer_lost(void);

/* LAPIC timer ticks a second at divide by 1; measured by clock_init, which calls this. */
void apic_timer_set_hz(u64 hz);

/* Raw access for calibration: start counting down from 0xFFFFFFFF, masked; and the count. */
void apic_timer_start_raw(void);
u32 apic_timer_read_raw(void);

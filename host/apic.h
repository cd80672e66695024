/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's local APIC. Its mode is chosen once, on the boot processor: x2APIC if CPUID shows it, else xAPIC (SDM 3A
 * "Advanced Programmable Interrupt Controller").
 */
#pragma once

#include "host/types.h"

/*
 * Enable this CPU's LAPIC: set the spurious vector and mask all LVT entries, except the machine's NMI on the boot
 * processor. The boot processor calls this before any other CPU does.
 */
void apic_init(void);

/* Interprocessor interrupts, as the interrupt command register names them. */
enum ipi {
    IPI_FIXED = 0 << 8, /* plus a vector */
    IPI_NMI = 4 << 8,
    IPI_INIT = 5 << 8,
    IPI_STARTUP = 6 << 8, /* plus the number of the page to start at */
    IPI_OTHERS = 3 << 18, /* with one of these: to all CPUs but this one, whatever the destination */
};

/* Send an IPI to the CPU with this APIC id, and wait until the LAPIC took it. */
void apic_send(u32 destination, u32 ipi);

/* Tell the LAPIC that the interrupt in service has been handled. */
void apic_eoi(void);

/*
 * Arm this CPU's one-shot timer: it raises IRQ_TIMER when the TSC reaches `deadline`, at once if that is past; ~0
 * disarms it. Uses TSC-deadline mode if CPUID shows it, else the calibrated count. Does nothing if the timer is armed
 * for this deadline already.
 */
void apic_timer_arm(u64 deadline);

/* Note that IRQ_TIMER has come: the timer is not armed any more. */
void apic_timer_fired(void);

/*
 * Is the timer's interrupt overdue by 2 ms? If so, the timer counts as fired: QEMU 7.2 loses interrupts (docs/svm.md).
 * A backend that relies on the timer to get the CPU back asks this before it enters a guest. Interrupts off.
 */
bool apic_timer_lost(void);

/* Measure by the TSC how many ticks a second the timer counts, for all CPUs. Boot processor, once the TSC's own
 * frequency is known: clock_init calls this. */
void apic_timer_calibrate(void);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC, by its MMIO page until lapic_x2apic, by MSRs from then on. SDM 3A "APIC". */
#pragma once

#include "host/types.h"

#define LAPIC_BASE 0xFEE00000ULL
#define LAPIC_ID 0x020
#define LAPIC_VERSION 0x030
#define LAPIC_TPR 0x080
#define LAPIC_PPR 0x0A0
#define LAPIC_EOI 0x0B0
#define LAPIC_LDR 0x0D0
#define LAPIC_DFR 0x0E0 /* xAPIC mode only */
#define LAPIC_SVR 0x0F0
#define SVR_ENABLE 0x100
#define LAPIC_ISR 0x100 /* eight registers each, 0x10 apart */
#define LAPIC_IRR 0x200
#define LAPIC_ICR 0x300
#define ICR_LOWEST 0x00100 /* delivery modes; 0: fixed */
#define ICR_NMI 0x00400
#define ICR_INIT 0x00500
#define ICR_STARTUP 0x00600
#define ICR_LOGICAL 0x00800
#define ICR_PENDING 0x01000 /* xAPIC mode only */
#define ICR_ASSERT 0x04000
#define ICR_SELF 0x40000 /* shorthands; 0: by destination */
#define ICR_ALL 0x80000
#define ICR_OTHERS 0xC0000
#define LAPIC_ICR_HIGH 0x310
#define LAPIC_LVT_TIMER 0x320
#define LVT_EXTINT 0x00700 /* the 8259s' */
#define LVT_MASKED 0x10000
#define LVT_PERIODIC 0x20000
#define LVT_DEADLINE 0x40000
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3E0
#define TIMER_DIVIDE_1 0xB

#define LAPIC_SPURIOUS_VECTOR 0xFE

/* The register as memory. */
static inline volatile u32 *lapic_mmio(u32 reg)
{
    return (volatile u32 *)(LAPIC_BASE + reg);
}

u32 lapic_read(u32 reg);
void lapic_write(u32 reg, u32 value);

/* Software-enable with LAPIC_SPURIOUS_VECTOR and TPR 0. */
void lapic_enable(void);

/*
 * Switch this processor to x2APIC mode, for good. The caller has checked CPUID.1:ECX bit 21. All functions here use
 * that mode from then on, on every processor: each other one that uses them has to switch as well.
 */
void lapic_x2apic(void);
bool lapic_is_x2apic(void);

void lapic_eoi(void);

/* Whether the bit of vector is set in LAPIC_ISR or LAPIC_IRR. */
bool lapic_bit(u32 reg, u8 vector);

/* Fixed interrupt to this processor. */
void lapic_self_ipi(u8 vector);

/* An interprocessor interrupt: ICR_* | vector, to an APIC id or a logical destination; LAPIC_EVERYONE is all. */
#define LAPIC_EVERYONE 0xFFFFFFFFU
void lapic_ipi(u32 destination, u32 command);

/* Arm the timer: `mode` is 0 or LVT_PERIODIC. lapic_timer_stop disarms and masks it. */
void lapic_timer(u8 vector, u32 mode, u64 us);
void lapic_timer_stop(void);

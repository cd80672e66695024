/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of one vCPU as a chip (SDM 3A "Advanced Programmable Interrupt Controller (APIC)"): xAPIC, x2APIC, or
 * disabled.
 *
 * Pure: time, interprocessor messages and end-of-interrupt notices go through struct lapic_env. The owner asks for
 * interrupts with lapic_pending and takes them with lapic_ack. Nothing here is locked: a caller that delivers to
 * another vCPU's LAPIC serializes calls.
 *
 * Our choices where the manual allows several: the APIC ID is read-only, the register page stays at FEE00000, there is
 * no CMCI entry and no directed EOI, and the timer counts at exactly LAPIC_TIMER_HZ on every host, so that it can
 * migrate.
 */
#pragma once

#include "host/types.h"

struct codec;

#define LAPIC_TIMER_HZ 1000000000ULL /* before the divider */
#define LAPIC_MMIO_BASE 0xFEE00000ULL
#define LAPIC_NEVER (~0ULL) /* a deadline that does not come */

/* Register offsets in the page; an x2APIC MSR is 800H + offset / 16. */
enum lapic_register {
    LAPIC_ID = 0x020,
    LAPIC_VERSION = 0x030,
    LAPIC_TPR = 0x080,
    LAPIC_PPR = 0x0A0,
    LAPIC_EOI = 0x0B0,
    LAPIC_LDR = 0x0D0,
    LAPIC_DFR = 0x0E0, /* xAPIC only */
    LAPIC_SVR = 0x0F0,
    LAPIC_ISR = 0x100, /* eight registers each */
    LAPIC_TMR = 0x180,
    LAPIC_IRR = 0x200,
    LAPIC_ESR = 0x280,
    LAPIC_ICR = 0x300,
    LAPIC_ICR_HIGH = 0x310, /* xAPIC only */
    LAPIC_LVT_TIMER = 0x320,
    LAPIC_LVT_THERMAL = 0x330,
    LAPIC_LVT_PERF = 0x340,
    LAPIC_LVT_LINT0 = 0x350,
    LAPIC_LVT_LINT1 = 0x360,
    LAPIC_LVT_ERROR = 0x370,
    LAPIC_INITIAL_COUNT = 0x380,
    LAPIC_CURRENT_COUNT = 0x390,
    LAPIC_DIVIDE = 0x3E0,
    LAPIC_SELF_IPI = 0x3F0, /* x2APIC only */
};

#define LAPIC_SVR_ENABLE 0x100
#define LAPIC_LVT_STATUS 0x1000
#define LAPIC_LVT_REMOTE_IRR 0x4000 /* read only, like the status */
#define LAPIC_LVT_MASKED 0x10000
#define LAPIC_LVT_MODE 0x700 /* delivery mode, as in an IPI */
#define LAPIC_TIMER_PERIODIC 0x20000
#define LAPIC_TIMER_DEADLINE 0x40000
#define LAPIC_ESR_SEND_VECTOR 0x20    /* software asked for a message with a vector below 16 */
#define LAPIC_ESR_RECEIVE_VECTOR 0x40 /* a message with a vector below 16 has come */
#define LAPIC_ESR_REGISTER 0x80       /* access to a register that does not exist */

enum lapic_delivery {
    LAPIC_FIXED = 0,
    LAPIC_LOWEST = 1,
    LAPIC_SMI = 2,
    LAPIC_NMI = 4,
    LAPIC_INIT = 5,
    LAPIC_STARTUP = 6, /* vector is the page number to start at */
    LAPIC_EXTINT = 7,  /* LVT only: the vector comes from the 8259 */
};

enum lapic_shorthand { LAPIC_TO_DESTINATION, LAPIC_TO_SELF, LAPIC_TO_ALL, LAPIC_TO_OTHERS };

#define LAPIC_BROADCAST 0xFFFFFFFFU

/* A message that the guest sends by writing ICR. */
struct lapic_ipi {
    u8 delivery; /* enum lapic_delivery */
    u8 vector;
    u8 shorthand;    /* enum lapic_shorthand */
    bool logical;    /* destination is logical, not an APIC ID */
    u32 destination; /* LAPIC_BROADCAST = everyone, in either mode */
};

/*
 * The calls that a LAPIC makes to its owner; none is NULL. They are made from within register writes and lapic_expire.
 */
struct lapic_env {
    u64 (*now)(void *ctx);                                /* host TSC */
    u64 (*deadline)(void *ctx, u64 tsc);                  /* host TSC when the guest's will be `tsc`; saturated */
    void (*send)(void *ctx, const struct lapic_ipi *ipi); /* route the message, perhaps to this LAPIC itself */
    void (*eoi)(void *ctx, u8 vector);                    /* a level-triggered vector has ended: for the I/O APIC */
};

struct lapic_timer {
    u32 initial_count, divide; /* registers */
    u64 deadline;              /* host TSC when the count reaches zero, LAPIC_NEVER = stopped */
    u64 tsc_deadline;          /* in TSC-deadline mode, the guest's TSC at that moment; 0 = disarmed */

    /* The remaining time that was restored at host TSC `at`: a save at that same moment finds it as it came, and not
     * rounded to our ticks. */
    struct {
        u64 at, deadline, remaining;
    } resumed;
};

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, NR_LVTS };

struct lapic {
    u64 base; /* IA32_APIC_BASE: BSP flag and mode */
    u32 id;
    u32 tpr, ldr, dfr, svr;
    u32 esr, esr_pending; /* the register as the guest reads it; errors that the next write of ESR makes visible */
    u64 icr;
    u32 lvt[NR_LVTS];
    u32 irr[8], isr[8], tmr[8]; /* requested, in service, level-triggered: one bit a vector */
    struct lapic_timer timer;

    u64 tsc_khz; /* of the host TSC */
    const struct lapic_env *env;
    void *ctx;
};

/* Power on with an APIC ID; tsc_khz is the frequency of what env->now counts. */
void lapic_init(struct lapic *lapic, u32 id, bool bsp, u64 tsc_khz, const struct lapic_env *env, void *ctx);

/* Machine reset: the power-up state, but ID and BSP flag are kept. */
void lapic_reset(struct lapic *lapic);

/* An INIT signal: like lapic_reset, but the mode stays (SDM 3A "Local APIC State After It Receives an INIT-Deassert
 * IPI"). */
void lapic_receive_init(struct lapic *lapic);

/* The register page. Only aligned 32-bit accesses mean anything. Outside xAPIC mode reads give all ones. */
u32 lapic_mmio_read(struct lapic *lapic, u32 offset, unsigned size);
void lapic_mmio_write(struct lapic *lapic, u32 offset, unsigned size, u32 value);

/* The MSRs IA32_APIC_BASE, IA32_TSC_DEADLINE and 800H to 8FFH. Returns 0, or -EINVAL: the access is a #GP. */
int lapic_msr_read(struct lapic *lapic, u32 msr, u64 *value);
int lapic_msr_write(struct lapic *lapic, u32 msr, u64 value);

/* CR8 is the upper half of TPR. */
u64 lapic_cr8_read(const struct lapic *lapic);
void lapic_cr8_write(struct lapic *lapic, u64 value);

/* A fixed interrupt arrives. False if it is refused: the LAPIC is off, or the vector is below 16. */
bool lapic_accept(struct lapic *lapic, u8 vector, bool level);

/* The vector to deliver now, or -1: the highest requested one, if the processor priority lets it through. */
int lapic_pending(const struct lapic *lapic);

/* The processor takes `vector`, which lapic_pending returned: it is in service until its EOI. */
void lapic_ack(struct lapic *lapic, u8 vector);

/* Move the end of a running count by `ticks` of the host TSC. A TSC deadline is computed anew by env->deadline. */
void lapic_shift(struct lapic *lapic, s64 ticks);

/* The guest's TSC has been written, so that its TSC deadline comes at another time. */
void lapic_tsc_changed(struct lapic *lapic);

/* End of interrupt, as by a write of the register. */
void lapic_eoi(struct lapic *lapic);

/* True if one edge-triggered vector is in service and none is requested: its EOI would do nothing but end it. */
bool lapic_eoi_is_silent(const struct lapic *lapic);

/* True if interrupts of the 8259 reach this processor: LAPIC disabled, or LINT0 passes them through. */
bool lapic_passes_extint(const struct lapic *lapic);

/*
 * True if a message of `sender` is for `target` (which may be the same). Of the targets of a lowest-priority message
 * the caller picks one.
 */
bool lapic_ipi_reaches(const struct lapic_ipi *ipi, const struct lapic *sender, const struct lapic *target);

/* Host TSC at which the timer next has something to deliver, LAPIC_NEVER if it has not. Call lapic_expire then. */
u64 lapic_deadline(const struct lapic *lapic);

/*
 * Deliver the timer's interrupt if it is due at host TSC `tsc`. Several periods that went by are one interrupt; the
 * next period keeps the original phase.
 */
void lapic_expire(struct lapic *lapic, u64 tsc);

/*
 * All state as one versioned section. A running count is saved as the time that remains, so that the time between save
 * and restore does not count; a TSC deadline is saved as it is, and computed anew by lapic_shift. Refused are
 * another version (-ENOTSUP), a state that cannot be, and another APIC ID (-EINVAL).
 */
void lapic_state(struct lapic *lapic, struct codec *c);

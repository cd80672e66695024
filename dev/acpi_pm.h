/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fixed ACPI hardware (ACPI specification "ACPI Hardware Specification"): PM1a events and control, the PM timer, the
 * general-purpose events of GPE0, the reset register, and the keyboard controller's reset command. Their ports are in
 * dev/platform_map.h. There is no legacy mode, so SCI_EN is always set.
 */
#pragma once

#include "dev/timer.h"

#define ACPI_PM_TIMER_HZ 3579545ULL

/* PM1 status and enable. */
#define PM1_TIMER BIT(0)  /* the timer's uppermost bit has changed */
#define PM1_GLOBAL BIT(5) /* never set: there is no firmware to set it */
#define PM1_POWER_BUTTON BIT(8)
#define PM1_SLEEP_BUTTON BIT(9)
#define PM1_RTC BIT(10)
#define PM1_WAKE BIT(15)
/* PM1 control. */
#define PM1_SCI_EN BIT(0)
#define PM1_SLP_TYP BITS(12, 10)
#define PM1_SLP_EN BIT(13)

struct acpi_pm {
    struct device device;
    struct vm *vm;
    struct timer timer; /* for the next change of the PM timer's uppermost bit, if the guest wants an interrupt */
    u16 status, enable, control;
    u8 gpe_status, gpe_enable;
    u64 seen; /* half periods of the PM timer that have reached status */
};

/* Create the hardware and add its ports to the bus. Returns 0 or bus_add's error. */
int acpi_pm_init(struct acpi_pm *pm, struct vm *vm);

/* Somebody presses the power button: a guest that listens will shut down; or the sleep button: it will go to sleep. One
 * that sleeps wakes. With device_lock held. */
void acpi_pm_power_button(struct acpi_pm *pm);
void acpi_pm_sleep_button(struct acpi_pm *pm);

/* The guest was restored from an image, and may have gone on from there before: give it another generation ID
 * (Microsoft, "Virtual Machine Generation ID"), and tell it. With device_lock held. */
void acpi_pm_new_generation(struct acpi_pm *pm);

/* Bring the state up to the present time. With device_lock held. */
void acpi_pm_settle(struct acpi_pm *pm);

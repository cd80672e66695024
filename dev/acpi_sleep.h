/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sleep of a VM in the ACPI state S3 (ACPI specification "Sleeping States"): its guest writes SLP_EN, and from then
 * on no vcpu of it is entered; RAM stays, all else is as after power-on when it wakes. A button wakes it: its first
 * vcpu goes on in real mode at the waking vector, which the guest has left in the FACS. Whether it sleeps is part of
 * the state of struct acpi_pm.
 */
#pragma once

#include "host/types.h"

struct vm;

/* Its guest wants to sleep. On the CPU of one of its vcpus, with device_lock held. */
void acpi_sleep(struct vm *vm);

/* Host work: wake the VMs whose buttons were pressed. Returns ~0. */
u64 acpi_sleep_poll(void);

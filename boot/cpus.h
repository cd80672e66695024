/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's processors, as the firmware knows them: there may be no ACPI table that lists them. */
#pragma once

#include "config/boot_info.h"

/* Fill nr_cpus and apic_id: the enabled, healthy processors, the boot processor first. Never fails. */
void cpus_find(struct boot_info *boot_info);

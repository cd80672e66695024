/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's processors, as the firmware knows them: there may be no ACPI table that lists them. */
#pragma once

#include "boot/handoff.h"

/* Fill nr_cpus and apic_id: the enabled, healthy processors, the boot processor first. Never fails. */
void cpus_find(struct handoff *handoff);

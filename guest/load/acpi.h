/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI tables of a guest (ACPI 6.0 "ACPI Software Programming Model"): RSDP, XSDT, FADT, FACS, MADT and DSDT. They
 * describe the chips of dev/; the DSDT is compiled from dsdt.asl.
 */
#pragma once

#include "host/bits.h"

#define ACPI_BASE 0xE0000 /* guest physical; the root pointer comes first */
#define ACPI_SIZE KiB(8)

/* Build the tables for a guest of nr_vcpus with APIC ids from 0 into bytes[0..ACPI_SIZE), which will lie at ACPI_BASE.
 * Pure. */
void acpi_build(u8 *bytes, u32 nr_vcpus);

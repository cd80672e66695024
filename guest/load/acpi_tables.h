/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest's ACPI tables have beyond those that the host reads (ACPI 6.0 chapter 5). Constants and layouts only. */
#pragma once

#include <stddef.h>

#include "dev/platform_map.h"
#include "host/acpi_layout.h"
#include "host/bits.h"

struct acpi_xsdt {
    struct acpi_header header;
    u64 table[2];
} __attribute__((packed));

struct acpi_facs {
    char signature[4];
    u32 length, hardware_signature, waking_vector, global_lock, flags;
    u64 x_waking_vector;
    u8 version, reserved[3];
    u32 ospm_flags;
    u8 reserved2[24];
} __attribute__((packed));

#define ACPI_ACCESS_WORD 2 /* of a generic address */

/* FADT: p_lvl2_lat, p_lvl3_lat */
#define ACPI_NO_C2 101
#define ACPI_NO_C3 1001

/* iapc_boot_arch; no 8042 */
#define ACPI_LEGACY_DEVICES BIT(0)
#define ACPI_NO_VGA BIT(2)
#define ACPI_NO_ASPM BIT(4)

/* flags; bits 4 and 5 clear: the buttons are in PM1; bit 8 clear: the timer has 24 bits */
#define ACPI_WBINVD BIT(0)
#define ACPI_PROC_C1 BIT(2)
#define ACPI_NO_RTC_WAKE BIT(6)
#define ACPI_RESET_REG BIT(10)

struct acpi_madt {
    struct acpi_header header;
    u32 lapic_address, flags;
} __attribute__((packed));

#define MADT_PCAT_COMPAT BIT(0) /* the machine has a pair of 8259s, too */

struct madt_lapic {
    u8 type, length, processor, apic_id;
    u32 flags;
} __attribute__((packed));

struct madt_ioapic {
    u8 type, length, id, reserved;
    u32 address, gsi_base;
} __attribute__((packed));

struct madt_override {
    u8 type, length, bus, irq;
    u32 gsi;
    u16 flags;
} __attribute__((packed));

struct madt_nmi {
    u8 type, length, processor;
    u16 flags;
    u8 lint;
} __attribute__((packed));

#define MADT_LAPIC 0
#define MADT_IOAPIC 1
#define MADT_OVERRIDE 2
#define MADT_NMI 4
#define MADT_ENABLED BIT(0)
/* Polarity and trigger mode of an interrupt. */
#define MADT_BUS_DEFAULT 0
#define MADT_HIGH BIT(0)
#define MADT_LEVEL BITS(3, 2)

_Static_assert(sizeof(struct acpi_facs) == 64, "FACS");
_Static_assert(offsetof(struct acpi_facs, waking_vector) == ACPI_FACS_WAKING_VECTOR, "dev reads it");
_Static_assert(sizeof(struct acpi_madt) == 44, "MADT");
_Static_assert(sizeof(struct madt_lapic) == 8, "MADT local APIC");
_Static_assert(sizeof(struct madt_ioapic) == 12, "MADT I/O APIC");
_Static_assert(sizeof(struct madt_override) == 10, "MADT interrupt source override");
_Static_assert(sizeof(struct madt_nmi) == 6, "MADT NMI");

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a guest finds its chips, and on which lines: the chips take these places, and the ACPI tables name them. The
 * file holds numbers only, so that both can include it.
 */
#pragma once

/* I/O APIC. MADT: id 0, lines from 0; overrides: ISA 0 is line 2 (edge, high), the SCI is level, high. */
#define IOAPIC_BASE 0xFEC00000ULL
#define IOAPIC_ID 0
#define PIT_GSI 2

/* Fixed ACPI hardware (FADT). There is no SMI command port: the machine is in ACPI mode from the start (SCI_EN reads as
 * 1). */
#define ACPI_SCI 9
#define ACPI_PM1A_EVENT_PORT 0x600 /* status, then enable: 4 bytes */
#define ACPI_PM1A_CONTROL_PORT 0x604
#define ACPI_PM_TIMER_PORT 0x608
#define ACPI_PM_TIMER_BITS 24 /* so without TMR_VAL_EXT */
#define ACPI_GPE0_PORT 0x60C  /* status, then enable: 2 bytes */
#define ACPI_GPE_GENERATION 0 /* the only event: the generation ID has changed */
#define ACPI_SLP_TYP_S3 3     /* DSDT \_S3_: what to write into SLP_TYP to sleep */
#define ACPI_SLP_TYP_S5 5     /* DSDT \_S5_: to power off */

/* The FACS, and in it the address at which a guest that wakes goes on. */
#define ACPI_FACS 0xE0040
#define ACPI_FACS_WAKING_VECTOR 12

/* VM generation ID: 16 bytes of the guest's RAM behind its tables, which the memory map reserves. 0 until it is
 * restored from an image. */
#define GENERATION_BASE 0xE2000

/* FADT reset register: an I/O port, one byte. */
#define RESET_PORT 0xCF9
#define RESET_VALUE 6

/* RTC: the century's place in CMOS memory (FADT CENTURY). */
#define CMOS_CENTURY 0x32

/* INTA of PCI slot n is line PCI_GSI + n % 4 of the I/O APIC. At the 8259 pair it is entry n % 4 of PCI_ISA_LINES. No
 * other device uses these lines. */
#define PCI_GSI 16
#define PCI_ISA_LINES 5, 10, 11, 12

/* ISA lines. */
#define PIT_LINE 0
#define SERIAL_LINE 4
#define RTC_LINE 8

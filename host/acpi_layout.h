/* SPDX-License-Identifier: BSD-2-Clause */
/* What we use of the ACPI table formats (ACPI 6.0 chapter 5). Constants and layouts only. */
#pragma once

#include "host/bits.h"

struct acpi_rsdp {
    char signature[8];
    u8 checksum; /* over the first 20 bytes */
    char oem_id[6];
    u8 revision;
    u32 rsdt;
    u32 length;
    u64 xsdt;
    u8 extended_checksum; /* over the whole struct */
    u8 reserved[3];
} __attribute__((packed));

#define ACPI_RSDP_V1_SIZE 20

struct acpi_header {
    char signature[4];
    u32 length;
    u8 revision, checksum;
    char oem_id[6], oem_table_id[8];
    u32 oem_revision;
    char creator_id[4];
    u32 creator_revision;
} __attribute__((packed));

struct acpi_xsdt {
    struct acpi_header header;
    u64 table[2];
} __attribute__((packed));

/* Generic address structure. */
struct acpi_gas {
    u8 space, bit_width, bit_offset, access;
    u64 address;
} __attribute__((packed));

#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_IO 1
#define ACPI_ACCESS_WORD 2

struct acpi_facs {
    char signature[4];
    u32 length, hardware_signature, waking_vector, global_lock, flags;
    u64 x_waking_vector;
    u8 version, reserved[3];
    u32 ospm_flags;
    u8 reserved2[24];
} __attribute__((packed));

/* Revision 5. */
struct acpi_fadt {
    struct acpi_header header;
    u32 firmware_ctrl, dsdt;
    u8 reserved, preferred_pm_profile;
    u16 sci_int;
    u32 smi_cmd;
    u8 acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
    u32 pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk, pm2_cnt_blk, pm_tmr_blk, gpe0_blk, gpe1_blk;
    u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
    u16 p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
    u8 duty_offset, duty_width, day_alrm, mon_alrm, century;
    u16 iapc_boot_arch;
    u8 reserved2;
    u32 flags;
    struct acpi_gas reset_reg;
    u8 reset_value;
    u16 arm_boot_arch;
    u8 minor_version;
    u64 x_firmware_ctrl, x_dsdt;
    struct acpi_gas x_pm1a_evt_blk, x_pm1b_evt_blk, x_pm1a_cnt_blk, x_pm1b_cnt_blk, x_pm2_cnt_blk, x_pm_tmr_blk;
    struct acpi_gas x_gpe0_blk, x_gpe1_blk, sleep_control, sleep_status;
} __attribute__((packed));

#define ACPI_PM_TIMER_SIZE 4 /* pm_tmr_len */

#define ACPI_NO_C2 101
#define ACPI_NO_C3 1001

/* iapc_boot_arch; no 8042 */
#define ACPI_LEGACY_DEVICES BIT(0)
#define ACPI_NO_VGA BIT(2)
#define ACPI_NO_ASPM BIT(4)

/* flags; bit 4 clear: the power button is in PM1; bit 8 clear: the timer has 24 bits */
#define ACPI_WBINVD BIT(0)
#define ACPI_PROC_C1 BIT(2)
#define ACPI_NO_SLEEP_BUTTON BIT(5)
#define ACPI_NO_RTC_WAKE BIT(6)
#define ACPI_RESET_REG BIT(10)

/* IA-PC HPET 1.0a "The ACPI 2.0 HPET Description Table (HPET)" */
struct acpi_hpet {
    struct acpi_header header;
    u32 event_timer_block;
    struct acpi_gas registers;
    u8 number;
    u16 minimum_tick;
    u8 page_protection;
} __attribute__((packed));

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

_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
_Static_assert(sizeof(struct acpi_header) == 36, "table header");
_Static_assert(sizeof(struct acpi_gas) == 12, "generic address");
_Static_assert(sizeof(struct acpi_facs) == 64, "FACS");
_Static_assert(sizeof(struct acpi_fadt) == 268, "FADT revision 5");
_Static_assert(sizeof(struct acpi_hpet) == 56, "HPET");
_Static_assert(sizeof(struct acpi_madt) == 44, "MADT");
_Static_assert(sizeof(struct madt_lapic) == 8, "MADT local APIC");
_Static_assert(sizeof(struct madt_ioapic) == 12, "MADT I/O APIC");
_Static_assert(sizeof(struct madt_override) == 10, "MADT interrupt source override");
_Static_assert(sizeof(struct madt_nmi) == 6, "MADT NMI");

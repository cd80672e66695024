/* SPDX-License-Identifier: BSD-2-Clause */
/* What the clock reads of the ACPI table formats (ACPI 6.0 chapter 5). Constants and layouts only. */
#pragma once

#include "host/types.h"

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

/* Generic address structure. */
struct acpi_gas {
    u8 space, bit_width, bit_offset, access;
    u64 address;
} __attribute__((packed));

#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_IO 1

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

/* IA-PC HPET 1.0a "The ACPI 2.0 HPET Description Table (HPET)" */
struct acpi_hpet {
    struct acpi_header header;
    u32 event_timer_block;
    struct acpi_gas registers;
    u8 number;
    u16 minimum_tick;
    u8 page_protection;
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
_Static_assert(sizeof(struct acpi_header) == 36, "table header");
_Static_assert(sizeof(struct acpi_gas) == 12, "generic address");
_Static_assert(sizeof(struct acpi_fadt) == 268, "FADT revision 5");
_Static_assert(sizeof(struct acpi_hpet) == 56, "HPET");

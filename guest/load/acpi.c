/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/load/acpi.h"

#include <string.h>

#include "guest/load/acpi_tables.h"
#include "build/dsdt.h" /* guest/load/dsdt.asl, compiled: dsdt_aml[] */
#include "dev/platform_map.h"
#include "host/panic.h"

#define LAPIC_BASE 0xFEE00000 /* where every local APIC is after reset */

/* An area being filled from its start. */
struct area {
    u8 *bytes;
    u32 used;
};

/* `size` zeroed bytes at the next multiple of `align`; their guest physical address goes to *address. */
static void *area_add(struct area *area, u32 size, u32 align, u64 *address)
{
    u32 at = align_up(area->used, align);

    assert(at + size <= ACPI_SIZE);
    area->used = at + size;
    *address = ACPI_BASE + at;
    return area->bytes + at;
}

static u8 checksum(const void *table, u32 size)
{
    const u8 *bytes = table;
    u8 sum = 0;

    for (u32 i = 0; i < size; i++)
        sum += bytes[i];
    return -sum;
}

static void header_fill(struct acpi_header *header, const char *signature, u32 length, u8 revision)
{
    memcpy(header->signature, signature, sizeof(header->signature));
    header->length = length;
    header->revision = revision;
    memcpy(header->oem_id, "GODWIT", sizeof(header->oem_id));
    memcpy(header->oem_table_id, "GODWIT  ", sizeof(header->oem_table_id));
    header->oem_revision = 1;
    memcpy(header->creator_id, "GDWT", sizeof(header->creator_id));
    header->creator_revision = 1;
    header->checksum = checksum(header, length);
}

/* Compiled from dsdt.asl, header and all. */
static u64 dsdt_add(struct area *area)
{
    u64 address;

    memcpy(area_add(area, sizeof(dsdt_aml), 16, &address), dsdt_aml, sizeof(dsdt_aml));
    return address;
}

static u64 facs_add(struct area *area)
{
    u64 address;
    struct acpi_facs *facs = area_add(area, sizeof(*facs), 64, &address);

    memcpy(facs->signature, "FACS", 4);
    facs->length = sizeof(*facs);
    facs->version = 2;
    assert(address == ACPI_FACS); /* where dev looks for the waking vector */
    return address;
}

static struct acpi_gas io_port(u16 port, u8 bytes)
{
    return (struct acpi_gas){
        .space = ACPI_SPACE_IO,
        .bit_width = bytes * 8,
        .access = 1 + __builtin_ctz(bytes),
        .address = port,
    };
}

/* SMI_CMD is 0: the machine is in ACPI mode from the start and stays there. */
static u64 fadt_add(struct area *area, u64 dsdt, u64 facs)
{
    u64 address;
    struct acpi_fadt *fadt = area_add(area, sizeof(*fadt), 16, &address);

    fadt->firmware_ctrl = facs;
    fadt->dsdt = fadt->x_dsdt = dsdt;
    fadt->sci_int = ACPI_SCI;
    fadt->pm1a_evt_blk = ACPI_PM1A_EVENT_PORT;
    fadt->pm1a_cnt_blk = ACPI_PM1A_CONTROL_PORT;
    fadt->pm_tmr_blk = ACPI_PM_TIMER_PORT;
    fadt->gpe0_blk = ACPI_GPE0_PORT;
    fadt->gpe0_blk_len = 2;
    fadt->pm1_evt_len = 4;
    fadt->pm1_cnt_len = 2;
    fadt->pm_tmr_len = 4;
    fadt->p_lvl2_lat = ACPI_NO_C2;
    fadt->p_lvl3_lat = ACPI_NO_C3;
    fadt->century = CMOS_CENTURY;
    fadt->iapc_boot_arch = ACPI_LEGACY_DEVICES | ACPI_NO_VGA | ACPI_NO_ASPM;
    fadt->flags = ACPI_WBINVD | ACPI_PROC_C1 | ACPI_NO_RTC_WAKE | ACPI_RESET_REG;
    fadt->reset_reg = io_port(RESET_PORT, 1);
    fadt->reset_value = RESET_VALUE;
    fadt->x_pm1a_evt_blk = io_port(ACPI_PM1A_EVENT_PORT, 4);
    fadt->x_pm1a_evt_blk.access = ACPI_ACCESS_WORD; /* two registers of 16 bits */
    fadt->x_pm1a_cnt_blk = io_port(ACPI_PM1A_CONTROL_PORT, 2);
    fadt->x_pm_tmr_blk = io_port(ACPI_PM_TIMER_PORT, 4);
    fadt->x_gpe0_blk = io_port(ACPI_GPE0_PORT, 2);
    fadt->x_gpe0_blk.access = 1; /* two registers of a byte */
    fadt->minor_version = 1;
    header_fill(&fadt->header, "FACP", sizeof(*fadt), 5);
    return address;
}

static struct madt_override *override_add(struct madt_override *at, u8 irq, u32 gsi, u16 flags)
{
    *at = (struct madt_override){ MADT_OVERRIDE, sizeof(*at), 0, irq, gsi, flags };
    return at + 1;
}

static u64 madt_add(struct area *area, u32 nr_vcpus)
{
    u32 size = sizeof(struct acpi_madt) + nr_vcpus * sizeof(struct madt_lapic) + sizeof(struct madt_ioapic) +
               2 * sizeof(struct madt_override) + sizeof(struct madt_nmi);
    u64 address;
    struct acpi_madt *madt = area_add(area, size, 16, &address);
    struct madt_lapic *lapic = (struct madt_lapic *)(madt + 1);
    struct madt_ioapic *ioapic = (struct madt_ioapic *)(lapic + nr_vcpus);
    struct madt_override *override = (struct madt_override *)(ioapic + 1);

    madt->lapic_address = LAPIC_BASE;
    madt->flags = MADT_PCAT_COMPAT;
    for (u32 i = 0; i < nr_vcpus; i++)
        lapic[i] = (struct madt_lapic){ MADT_LAPIC, sizeof(*lapic), i, i, MADT_ENABLED };
    *ioapic = (struct madt_ioapic){ MADT_IOAPIC, sizeof(*ioapic), IOAPIC_ID, 0, IOAPIC_BASE, 0 };
    override = override_add(override, PIT_LINE, PIT_GSI, MADT_BUS_DEFAULT);
    override = override_add(override, ACPI_SCI, ACPI_SCI, MADT_HIGH | MADT_LEVEL);
    *(struct madt_nmi *) override = (struct madt_nmi){ MADT_NMI, sizeof(struct madt_nmi), 0xFF, MADT_BUS_DEFAULT, 1 };
    header_fill(&madt->header, "APIC", size, 3);
    return address;
}

static u64 xsdt_add(struct area *area, u64 fadt, u64 madt)
{
    u64 address;
    struct acpi_xsdt *xsdt = area_add(area, sizeof(*xsdt), 16, &address);

    xsdt->table[0] = fadt;
    xsdt->table[1] = madt;
    header_fill(&xsdt->header, "XSDT", sizeof(*xsdt), 1);
    return address;
}

void acpi_build(u8 *bytes, u32 nr_vcpus)
{
    struct area area = { .bytes = bytes };
    u64 address;

    memset(bytes, 0, ACPI_SIZE);

    struct acpi_rsdp *rsdp = area_add(&area, sizeof(*rsdp), 16, &address);
    u64 facs = facs_add(&area);
    u64 dsdt = dsdt_add(&area);
    u64 fadt = fadt_add(&area, dsdt, facs);
    u64 madt = madt_add(&area, nr_vcpus);

    memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
    memcpy(rsdp->oem_id, "GODWIT", sizeof(rsdp->oem_id));
    rsdp->revision = 2;
    rsdp->length = sizeof(*rsdp);
    rsdp->xsdt = xsdt_add(&area, fadt, madt);
    rsdp->checksum = checksum(rsdp, ACPI_RSDP_V1_SIZE);
    rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
}

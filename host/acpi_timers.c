/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/acpi_timers.h"

#include <stddef.h>
#include <string.h>

#include "host/acpi_layout.h"

static bool sum_is_zero(const void *table, u32 size)
{
    const u8 *bytes = table;
    u8 sum = 0;

    for (u32 i = 0; i < size; i++)
        sum += bytes[i];
    return sum == 0;
}

/* The whole table at `base`; NULL: no table is there. */
static const struct acpi_header *table_at(acpi_memory *memory, hpa_t base)
{
    const struct acpi_header *header = memory(base, sizeof(*header));

    if (!header || header->length < sizeof(*header) || !memory(base, header->length))
        return NULL;
    return sum_is_zero(header, header->length) ? header : NULL;
}

/* The table of tables, and the size of an address in it: 8 bytes in the XSDT, 4 in the older RSDT. */
static const struct acpi_header *root_table(acpi_memory *memory, hpa_t rsdp, u32 *address_size)
{
    const struct acpi_rsdp *root = memory(rsdp, ACPI_RSDP_V1_SIZE);

    if (!root || memcmp(root->signature, "RSD PTR ", sizeof(root->signature)) || !sum_is_zero(root, ACPI_RSDP_V1_SIZE))
        return NULL;
    *address_size = sizeof(u64);
    if (root->revision >= 2 && memory(rsdp, sizeof(*root)) && root->xsdt)
        return table_at(memory, root->xsdt);
    *address_size = sizeof(u32);
    return table_at(memory, root->rsdt);
}

/* The first table of that signature with at least `size` bytes; NULL: there is none. */
static const void *table_find(acpi_memory *memory, hpa_t rsdp, const char *signature, u32 size)
{
    u32 address_size;
    const struct acpi_header *root = rsdp ? root_table(memory, rsdp, &address_size) : NULL;

    if (!root)
        return NULL;
    for (u32 at = sizeof(*root); at + address_size <= root->length; at += address_size) {
        const struct acpi_header *table;
        hpa_t base = 0;

        memcpy(&base, (const u8 *)root + at, address_size);
        table = table_at(memory, base);
        if (table && !memcmp(table->signature, signature, sizeof(table->signature)) && table->length >= size)
            return table;
    }
    return NULL;
}

static hpa_t hpet_base(const struct acpi_hpet *hpet)
{
    return hpet && hpet->registers.space == ACPI_SPACE_MEMORY ? hpet->registers.address : 0;
}

/* The 64-bit address counts, if the table is long enough to have one. */
static u16 pm_timer_port(const struct acpi_fadt *fadt)
{
    u64 port = fadt ? fadt->pm_tmr_blk : 0;

    if (!fadt || fadt->pm_tmr_len != ACPI_PM_TIMER_SIZE)
        return 0;
    if (fadt->header.length >= offsetof(struct acpi_fadt, x_gpe0_blk) && fadt->x_pm_tmr_blk.address)
        port = fadt->x_pm_tmr_blk.space == ACPI_SPACE_IO ? fadt->x_pm_tmr_blk.address : 0;
    return port <= 0xFFFF ? (u16)port : 0;
}

struct acpi_timers acpi_timers_find(acpi_memory *memory, hpa_t rsdp)
{
    return (struct acpi_timers){
        .hpet = hpet_base(table_find(memory, rsdp, "HPET", sizeof(struct acpi_hpet))),
        .pm_port = pm_timer_port(table_find(memory, rsdp, "FACP", offsetof(struct acpi_fadt, pm1_evt_len) + 4)),
    };
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: guest/load/acpi.c tests/unit/stubs.c */
/* The ACPI tables of a guest: found from the root as an operating system does, summed, and read by ACPICA's
 * disassembler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest/load/acpi.h"
#include "guest/load/acpi_tables.h"
#include "dev/platform_map.h"

#define VCPUS 8

static u8 area[ACPI_SIZE];

static int setup(void **state)
{
    (void)state;
    memset(area, 0xA5, sizeof(area));
    acpi_build(area, VCPUS);
    return 0;
}

static u8 sum(const void *from, u32 size)
{
    u8 total = 0;

    for (u32 i = 0; i < size; i++)
        total += ((const u8 *)from)[i];
    return total;
}

/* A table by its guest physical address, whole and summing to zero. */
static void *table_at(u64 address, const char *signature)
{
    assert_in_range(address, ACPI_BASE, ACPI_BASE + ACPI_SIZE - sizeof(struct acpi_header));
    struct acpi_header *header = (struct acpi_header *)(area + (address - ACPI_BASE));

    assert_memory_equal(header->signature, signature, 4);
    assert_in_range(header->length, sizeof(*header), ACPI_BASE + ACPI_SIZE - address);
    assert_int_equal(sum(header, header->length), 0);
    return header;
}

static struct acpi_xsdt *xsdt(void)
{
    return table_at(((struct acpi_rsdp *)area)->xsdt, "XSDT");
}

static struct acpi_fadt *fadt(void)
{
    return table_at(xsdt()->table[0], "FACP");
}

static void the_root_is_whole(void **state)
{
    const struct acpi_rsdp *rsdp = (struct acpi_rsdp *)area;

    (void)state;
    assert_memory_equal(rsdp->signature, "RSD PTR ", 8);
    assert_int_equal(rsdp->revision, 2);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, sizeof(*rsdp)), 0);
}

static void the_fadt_names_our_chips(void **state)
{
    (void)state;
    assert_int_equal(fadt()->pm1a_evt_blk, ACPI_PM1A_EVENT_PORT);
    assert_int_equal(fadt()->x_pm1a_cnt_blk.address, ACPI_PM1A_CONTROL_PORT);
    assert_int_equal(fadt()->reset_reg.address, RESET_PORT);
    assert_true(fadt()->flags & ACPI_RESET_REG);
    assert_int_equal(fadt()->firmware_ctrl % 64, 0);
    assert_int_equal(fadt()->dsdt, fadt()->x_dsdt);
    table_at(fadt()->x_dsdt, "DSDT");
}

/* Walk the entries as an operating system does. */
static void the_madt_has_every_vcpu_and_the_io_apic(void **state)
{
    const struct acpi_madt *madt = table_at(xsdt()->table[1], "APIC");
    const u8 *at = (const u8 *)(madt + 1), *end = (const u8 *)madt + madt->header.length;
    unsigned lapics = 0, ioapics = 0, overrides = 0;

    (void)state;
    for (; at < end; at += at[1]) {
        assert_in_range(at[1], 2, end - at);
        if (at[0] == MADT_LAPIC)
            assert_int_equal(((const struct madt_lapic *)at)->apic_id, lapics++);
        ioapics += at[0] == MADT_IOAPIC && ((const struct madt_ioapic *)at)->address == IOAPIC_BASE;
        overrides += at[0] == MADT_OVERRIDE;
    }
    assert_ptr_equal(at, end);
    assert_int_equal(lapics, VCPUS);
    assert_int_equal(ioapics, 1);
    assert_int_equal(overrides, 2);
}

static void disassemble(const char *directory, const struct acpi_header *table, const char *expected)
{
    char path[128], command[512], out[1 << 16];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%.4s.dat", directory, table->signature);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(table, 1, table->length, file), table->length);
    fclose(file);
    snprintf(command, sizeof(command), "cd %s && iasl -d %.4s.dat 2>&1 && cat %.4s.dsl", directory, table->signature,
             table->signature);
    file = popen(command, "r");
    assert_non_null(file);
    out[fread(out, 1, sizeof(out) - 1, file)] = 0;
    assert_int_equal(pclose(file), 0);
    if (!strstr(out, expected) || strstr(out, "Invalid") || strstr(out, "Incorrect") || strstr(out, "Error"))
        fail_msg("iasl says of %.4s:\n%s", table->signature, out);
}

static void acpica_reads_them(void **state)
{
    char directory[] = "/tmp/acpi-XXXXXX", command[64];

    (void)state;
    assert_non_null(mkdtemp(directory));
    disassemble(directory, &fadt()->header, "Reset Register");
    disassemble(directory, table_at(xsdt()->table[1], "APIC"), "I/O APIC");
    disassemble(directory, &xsdt()->header, "XSDT");
    disassemble(directory, table_at(fadt()->x_dsdt, "DSDT"), "_PRT");
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_root_is_whole),
        cmocka_unit_test(the_fadt_names_our_chips),
        cmocka_unit_test(the_madt_has_every_vcpu_and_the_io_apic),
        cmocka_unit_test(acpica_reads_them),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

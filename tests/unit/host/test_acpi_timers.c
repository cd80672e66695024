/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: host/acpi_timers.c */
/* The firmware's tables, right and wrong: timers are found, and nothing is read that is not in the tables' memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/acpi_timers.h"
#include "host/acpi_layout.h"
#include "host/bits.h"

#define BASE 0x7F000000ULL /* where the tables lie; each at a slot of its own */
#define SLOT 0x200ULL
enum { RSDP, ROOT, FADT, HPET, OTHER, SLOTS };

static u8 *memory; /* exactly as large as it says, for the address sanitizer */

static const void *at(hpa_t base, u64 size)
{
    if (base < BASE || size > SLOTS * SLOT || base - BASE > SLOTS * SLOT - size)
        return NULL;
    return memory + (base - BASE);
}

static void *slot(unsigned index)
{
    return memory + index * SLOT;
}

static void sum(void *table, u32 size, u8 *checksum)
{
    const u8 *bytes = table;
    u8 total = 0;

    *checksum = 0;
    for (u32 i = 0; i < size; i++)
        total += bytes[i];
    *checksum = -total;
}

static void header(unsigned index, const char *signature, u32 length)
{
    struct acpi_header *header = slot(index);

    memcpy(header->signature, signature, 4);
    header->length = length;
    sum(header, length, &header->checksum);
}

static void rsdp(u8 revision)
{
    struct acpi_rsdp *root = slot(RSDP);

    memcpy(root->signature, "RSD PTR ", 8);
    root->revision = revision;
    root->length = sizeof(*root);
    root->rsdt = revision < 2 ? BASE + ROOT * SLOT : 0;
    root->xsdt = revision < 2 ? 0 : BASE + ROOT * SLOT;
    sum(root, ACPI_RSDP_V1_SIZE, &root->checksum);
}

/* A table of tables with addresses of 4 or 8 bytes. */
static void root(u32 address_size)
{
    const u64 tables[] = { BASE + OTHER * SLOT, 0, 0xFFFFFFFF00000000ULL, BASE + FADT * SLOT, BASE + HPET * SLOT };
    u8 *to = (u8 *)slot(ROOT) + sizeof(struct acpi_header);

    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
        memcpy(to + i * address_size, &tables[i], address_size);
    header(ROOT, address_size == 8 ? "XSDT" : "RSDT", sizeof(struct acpi_header) + ARRAY_SIZE(tables) * address_size);
}

static int setup(void **unused)
{
    struct acpi_fadt *fadt;
    struct acpi_hpet *hpet;

    (void)unused;
    memory = calloc(SLOTS, SLOT);
    fadt = slot(FADT);
    fadt->pm_tmr_len = 4;
    fadt->pm_tmr_blk = 0xB008;
    header(FADT, "FACP", sizeof(*fadt));
    hpet = slot(HPET);
    hpet->registers = (struct acpi_gas){ .space = ACPI_SPACE_MEMORY, .address = 0xFED00000 };
    header(HPET, "HPET", sizeof(*hpet));
    header(OTHER, "SSDT", sizeof(struct acpi_header));
    root(8);
    rsdp(2);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    free(memory);
    return 0;
}

static struct acpi_timers find(void)
{
    return acpi_timers_find(at, BASE);
}

static void test_timers_are_found(void **unused)
{
    (void)unused;
    assert_int_equal(find().hpet, 0xFED00000);
    assert_int_equal(find().pm_port, 0xB008);
    root(4);
    rsdp(0);
    assert_int_equal(find().hpet, 0xFED00000);
    assert_int_equal(find().pm_port, 0xB008);
}

static void test_the_64_bit_address_counts(void **unused)
{
    struct acpi_fadt *fadt = slot(FADT);

    (void)unused;
    fadt->x_pm_tmr_blk = (struct acpi_gas){ .space = ACPI_SPACE_IO, .address = 0x1808 };
    header(FADT, "FACP", sizeof(*fadt));
    assert_int_equal(find().pm_port, 0x1808);
    fadt->x_pm_tmr_blk.space = ACPI_SPACE_MEMORY;
    header(FADT, "FACP", sizeof(*fadt));
    assert_int_equal(find().pm_port, 0);
    header(FADT, "FACP", 116); /* of ACPI 1.0: it has no such field */
    assert_int_equal(find().pm_port, 0xB008);
}

static void test_no_pm_timer(void **unused)
{
    struct acpi_fadt *fadt = slot(FADT);

    (void)unused;
    fadt->pm_tmr_len = 0;
    header(FADT, "FACP", sizeof(*fadt));
    assert_int_equal(find().pm_port, 0);
    assert_int_equal(find().hpet, 0xFED00000);
}

static void test_nothing_there(void **unused)
{
    (void)unused;
    assert_int_equal(acpi_timers_find(at, 0).hpet, 0);
    assert_int_equal(acpi_timers_find(at, BASE - 0x1000).hpet, 0);
    assert_int_equal(acpi_timers_find(at, BASE + OTHER * SLOT).hpet, 0);
}

/* A byte that the checksum covers is wrong, or a length leads out of the memory. */
static void test_damage(void **unused)
{
    struct acpi_header *table;

    (void)unused;

    for (unsigned index = RSDP; index <= HPET; index++) {
        struct acpi_timers found;

        ((u8 *)slot(index))[9] ^= 1; /* in each of them its checksum, or an OEM id */
        found = find();
        assert_int_equal(found.hpet, index == FADT ? 0xFED00000 : 0);
        assert_int_equal(found.pm_port, index == HPET ? 0xB008 : 0);
        ((u8 *)slot(index))[9] ^= 1;
    }
    for (u32 length = 0; length != 0xFFFFFFFF; length = length ? length * 2 + 1 : 1) {
        table = slot(HPET);
        header(HPET, "HPET", sizeof(struct acpi_hpet));
        table->length = length;
        assert_int_equal(find().hpet, 0);
        table = slot(ROOT);
        table->length = length;
        assert_int_equal(find().pm_port, 0);
        root(8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timers_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_64_bit_address_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_pm_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

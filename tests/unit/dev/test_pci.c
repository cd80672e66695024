/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's PCI bus: configuration space, BARs that move, INTx and MSI-X. */
/* sources: dev/pci.c dev/pci_msix.c hv/bus.c dev/codec.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c */
/* sources: mm/guest_missing.c */
/* sources: host/frame.c tests/unit/ram.c tests/unit/virtio_rig.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/irq.h"
#include "host/bits.h"
#include "dev/codec.h"
#include "tests/unit/virtio_rig.h"

#define SLOT 5
#define BAR_SIZE 0x4000

static struct pci_function card, other;
static u64 last_off, last_val;

static void card_io(struct pci_function *function, unsigned bar, struct io *io)
{
    assert_ptr_equal(function, &card);
    assert_int_equal(bar, 0);
    last_off = io->off;
    last_val = io->val;
    if (!io->write)
        io->val = 0x1122334455667788;
}

static const struct pci_ops card_ops = { .name = "card", .version = 7, .bar_io = card_io };

static int setup(void **state)
{
    rig_setup(state);
    pci_function_init(&card, &card_ops, 0x1234, 0x5678, 0x020000);
    pci_add_bar(&card, 0, BAR_SIZE);
    pci_add_capability(&card, PCI_CAP_VENDOR, 7);
    pci_add_msix(&card, 1, 3);
    pci_bus_add(&rig.pci, SLOT, &card);
    pci_function_init(&other, &card_ops, 0x1234, 0x5679, 0x020000);
    pci_bus_add(&rig.pci, SLOT + 4, &other);
    return 0;
}

static void test_configuration_by_all_sizes(void **unused)
{
    (void)unused;
    assert_int_equal(rig_config_read(0, PCI_VENDOR_ID, 4), 0x12378086);
    assert_int_equal(rig_config_read(0, PCI_CLASS, 2) | rig_config_read(0, PCI_CLASS + 2, 1) << 16, 0x060000);
    assert_int_equal(rig_config_read(SLOT, PCI_VENDOR_ID, 2), 0x1234);
    assert_int_equal(rig_config_read(SLOT, PCI_DEVICE_ID, 2), 0x5678);
    assert_int_equal(rig_config_read(SLOT, PCI_DEVICE_ID + 1, 1), 0x56);
    assert_int_equal(rig_config_read(SLOT, PCI_INTERRUPT_PIN, 1), 1);
    assert_int_equal(rig_config_read(SLOT + 1, 0, 4), 0xFFFFFFFF);
    rig_config_write(SLOT, PCI_VENDOR_ID, 4, 0); /* read-only */
    assert_int_equal(rig_config_read(SLOT, PCI_VENDOR_ID, 2), 0x1234);
    rig_config_write(SLOT, PCI_INTERRUPT_LINE, 1, 11);
    assert_int_equal(rig_config_read(SLOT, PCI_INTERRUPT_LINE, 4), 0x10B);
}

static void port(u16 at, unsigned size, bool write, u64 *value)
{
    struct io io = { .size = (u8)size, .write = write, .val = *value };

    bus_access(&rig.vm.pio, at, &io);
    *value = io.val;
}

static void test_the_address_register_is_a_dword(void **unused)
{
    u64 value = 0x80000000 | SLOT << 11, byte = 0xFF;

    (void)unused;
    port(0xCF8, 4, true, &value);
    port(0xCF8, 1, true, &byte);
    byte = 6;
    port(0xCF9, 1, true, &byte); /* the chip set's reset register, not ours */
    port(0xCF8, 4, false, &value);
    assert_int_equal(value, 0x80000000 | SLOT << 11);
    value = SLOT << 11; /* not enabled; then another bus; then another function */
    port(0xCF8, 4, true, &value);
    port(0xCFC, 4, false, &value);
    assert_int_equal(value, 0xFFFFFFFF);
    value = 0x80010000 | SLOT << 11;
    port(0xCF8, 4, true, &value);
    port(0xCFC, 4, false, &value);
    assert_int_equal(value, 0xFFFFFFFF);
    value = 0x80000100 | SLOT << 11;
    port(0xCF8, 4, true, &value);
    port(0xCFC, 4, false, &value);
    assert_int_equal(value, 0xFFFFFFFF);
    value = 0x81000000 | SLOT << 11; /* register 256 */
    port(0xCF8, 4, true, &value);
    port(0xCFC, 4, false, &value);
    assert_int_equal(value, 0xFFFFFFFF);
}

static void test_bars_are_sized_and_moved(void **unused)
{
    u32 base = rig_bar(SLOT, 0);

    (void)unused;
    assert_true(base >= PCI_WINDOW_BASE && base + BAR_SIZE <= PCI_WINDOW_END && is_aligned(base, BAR_SIZE));
    assert_true(rig_bar(SLOT, 1) >= base + BAR_SIZE);
    assert_int_equal(rig_mmio_read(base, 4), 0xFFFFFFFF); /* not decoded yet */
    rig_switch_on(SLOT);
    assert_int_equal(rig_mmio_read(base + 8, 4), 0x55667788);
    assert_int_equal(last_off, 8);
    rig_config_write(SLOT, PCI_BAR0, 4, 0xFFFFFFFF);
    assert_int_equal(rig_config_read(SLOT, PCI_BAR0, 4), ~(u32)(BAR_SIZE - 1));
    assert_int_equal(rig_mmio_read(base, 4), 0xFFFFFFFF);
    rig_config_write(SLOT, PCI_BAR0, 4, 0xE8000000);
    assert_int_equal(rig_mmio_read(base, 4), 0xFFFFFFFF);
    assert_int_equal(rig_mmio_read(0xE8000000 + BAR_SIZE - 4, 4), 0x55667788);
    rig_config_write(SLOT, PCI_BAR0 + 8, 4, 0xFFFFFFFF); /* no such BAR */
    assert_int_equal(rig_config_read(SLOT, PCI_BAR0 + 8, 4), 0);
    rig_config_write(SLOT, PCI_COMMAND, 2, 0);
    assert_int_equal(rig_mmio_read(0xE8000000, 4), 0xFFFFFFFF);
    assert_int_equal(rig.vm.mmio.nr_regions, 0);
}

static void test_a_bar_on_top_of_another_device_is_not_seen(void **unused)
{
    u32 msix = rig_bar(SLOT, 1);

    (void)unused;
    rig_switch_on(SLOT);
    rig_config_write(SLOT, PCI_BAR0, 4, msix & ~(BAR_SIZE - 1U));
    assert_int_equal(rig_mmio_read(msix + 12, 4), MSIX_ENTRY_MASKED); /* the first one stays */
    rig_config_write(SLOT, PCI_BAR0, 4, 0xE8000000);
    assert_int_equal(rig_mmio_read(0xE8000000, 4), 0x55667788);
}

static void test_capabilities_are_a_list(void **unused)
{
    unsigned first, second;

    (void)unused;
    assert_true(rig_config_read(SLOT, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES);
    first = rig_config_read(SLOT, PCI_CAPABILITIES, 1);
    assert_int_equal(rig_config_read(SLOT, first, 1), PCI_CAP_VENDOR);
    second = rig_config_read(SLOT, first + 1, 1);
    assert_true(is_aligned(second, 4) && second >= first + 7);
    assert_int_equal(rig_config_read(SLOT, second, 1), PCI_CAP_MSIX);
    assert_int_equal(rig_config_read(SLOT, second + 1, 1), 0);
    assert_int_equal(rig_config_read(SLOT, second + MSIX_CONTROL, 2), 2); /* three vectors */
}

static void test_intx_is_shared_and_maskable(void **unused)
{
    const unsigned line = IRQ_PCI + SLOT % 4;

    (void)unused;
    pci_intx(&card, true);
    assert_true(rig.line[line]);
    assert_true(rig_config_read(SLOT, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    pci_intx(&other, true);
    pci_intx(&card, false);
    assert_true(rig.line[line]);
    rig_config_write(SLOT + 4, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    assert_false(rig.line[line]);
    assert_true(rig_config_read(SLOT + 4, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    rig_config_write(SLOT + 4, PCI_COMMAND, 2, 0);
    assert_true(rig.line[line]);
    pci_intx(&other, false);
    assert_false(rig.line[line]);
}

/* For kernels without ACPI: where the 8259s have the slot's pin. It is a place for notes, and a reset writes it anew.
 */
static void test_interrupt_line_is_what_the_firmware_says(void **unused)
{
    (void)unused;
    assert_int_equal(rig_config_read(0, PCI_INTERRUPT_LINE, 2), 0); /* the bridge has no pin */
    assert_int_equal(rig_config_read(SLOT, PCI_INTERRUPT_LINE, 2), 0x100 | irq_pci_isa(SLOT % 4));
    rig_config_write(SLOT, PCI_INTERRUPT_LINE, 1, 0xFF);
    rig.pci.device.ops->reset(&rig.pci.device);
    assert_int_equal(rig_config_read(SLOT, PCI_INTERRUPT_LINE, 2), 0x100 | irq_pci_isa(SLOT % 4));
}

static unsigned msix_start(u32 control)
{
    u32 table = rig_bar(SLOT, 1);

    rig_switch_on(SLOT);
    rig_mmio_write(table + 16, 8, 0xFEE01000);
    rig_mmio_write(table + 24, 4, 0x4041);
    rig_mmio_write(table + 28, 4, 0);
    rig_config_write(SLOT, card.msix.capability + MSIX_CONTROL, 2, control);
    return table;
}

static void test_messages(void **unused)
{
    u32 table = msix_start(MSIX_CONTROL_ENABLE);

    (void)unused;
    pci_msix_send(&card, 1);
    assert_int_equal(rig.messages, 1);
    assert_int_equal(rig.message_address, 0xFEE01000);
    assert_int_equal(rig.message_data, 0x4041);
    pci_msix_send(&card, 0); /* masked since the reset */
    pci_msix_send(&card, 3); /* no such vector */
    pci_msix_send(&card, 0xFFFF);
    assert_int_equal(rig.messages, 1);
    assert_int_equal(rig_mmio_read(table + 0x800, 8), 1);
    rig_mmio_write(table + 0, 4, 0xFEE00000);
    rig_mmio_write(table + 12, 4, 0);
    assert_int_equal(rig.messages, 2);
    assert_int_equal(rig_mmio_read(table + 0x800, 4), 0);
    /* MSI-X silences the pin. */
    pci_intx(&card, true);
    assert_false(rig.line[IRQ_PCI + SLOT % 4]);
}

static void test_masks_keep_messages_pending(void **unused)
{
    unsigned control = card.msix.capability + MSIX_CONTROL;
    u32 table = msix_start(MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);

    (void)unused;
    pci_msix_send(&card, 1);
    assert_int_equal(rig.messages, 0);
    assert_int_equal(rig_mmio_read(table + 0x800, 4), 2);
    rig_mmio_write(table + 0x800, 4, 0); /* read-only */
    rig_config_write(SLOT, control, 2, MSIX_CONTROL_ENABLE);
    assert_int_equal(rig.messages, 1);
    /* Who may not write memory sends no message either. */
    rig_config_write(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    pci_msix_send(&card, 1);
    assert_int_equal(rig.messages, 1);
    rig_switch_on(SLOT);
    assert_int_equal(rig.messages, 2);
}

static void test_state_survives_save_and_restore(void **unused)
{
    u32 table = msix_start(MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK);

    (void)unused;
    rig_config_write(SLOT, PCI_BAR0, 4, 0xE8000000);
    pci_msix_send(&card, 1);
    pci_intx(&other, true);
    assert_int_equal(rig_save_and_restore(), 0);
    assert_int_equal(rig_mmio_read(0xE8000000, 4), 0x55667788);
    assert_int_equal(rig_mmio_read(table + 16, 8), 0xFEE01000);
    assert_int_equal(rig_mmio_read(table + 24, 4), 0x4041);
    assert_int_equal(rig_mmio_read(table + 0x800, 4), 2);
    assert_true(rig.line[IRQ_PCI + SLOT % 4]);
    rig_config_write(SLOT, card.msix.capability + MSIX_CONTROL, 2, MSIX_CONTROL_ENABLE);
    assert_int_equal(rig.messages, 1);
}

static void test_another_machine_is_refused(void **unused)
{
    static u8 bytes[4096];
    struct codec w = codec_saver(bytes, sizeof(bytes));
    struct device *device = &rig.pci.device;
    struct codec r;

    (void)unused;
    device->ops->state(device, &w);
    assert_int_equal(w.err, 0);
    card.config[PCI_DEVICE_ID]++;
    r = codec_restorer(bytes, w.at);
    device->ops->state(device, &r);
    assert_int_equal(r.err, -EINVAL);
    card.config[PCI_DEVICE_ID]--;
    rig.pci.slot[SLOT] = NULL;
    r = codec_restorer(bytes, w.at);
    device->ops->state(device, &r);
    assert_int_equal(r.err, -EINVAL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, rig_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_configuration_by_all_sizes),
        TEST(test_the_address_register_is_a_dword),
        TEST(test_bars_are_sized_and_moved),
        TEST(test_a_bar_on_top_of_another_device_is_not_seen),
        TEST(test_capabilities_are_a_list),
        TEST(test_intx_is_shared_and_maskable),
        TEST(test_interrupt_line_is_what_the_firmware_says),
        TEST(test_messages),
        TEST(test_masks_keep_messages_pending),
        TEST(test_state_survives_save_and_restore),
        TEST(test_another_machine_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

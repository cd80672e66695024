/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines from devices to the interrupt controllers of a whole machine, and what waits there when it moves. */
/* sources: net/output.c */
/* sources: dev/acpi_pm.c dev/apic_bus.c dev/cmos.c dev/console.c dev/i8254.c dev/i8259.c */
/* sources: dev/ioapic.c dev/irq.c dev/lapic.c dev/lapic_timer.c dev/mc146818.c dev/pci.c */
/* sources: dev/pci_msix.c dev/pit.c dev/platform.c dev/pv_eoi.c dev/pvclock.c dev/timer.c */
/* sources: dev/steal_time.c dev/sha256.c dev/shutdown.c dev/acpi_sleep.c */
/* sources: dev/uart16550.c dev/verdict.c dev/virtio_net.c dev/virtio_net_ctrl.c dev/virtio_net_tx.c */
/* sources: dev/virtio_net_state.c net/mac.c net/snoop.c net/announce.c net/offload.c */
/* sources: dev/virtio_pci.c hv/guest_tsc.c */
/* sources: dev/virtio_rng.c dev/virtqueue.c hv/bus.c host/calendar.c dev/codec.c mm/guest_mem.c mm/guest_missing.c */
/* sources: mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c net/hold.c net/heard.c net/ethernet.c net/csum.c */
/* sources: tests/unit/fake_random.c */
/* sources: net/headers.c tests/unit/platform_rig.c tests/unit/ram.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/clock.h"
#include "host/msr_index.h"
#include "dev/irq.h"
#include "host/bits.h"
#include "tests/unit/platform_rig.h"

#define NET_SLOT 1
#define NET_LINE (IRQ_PCI + NET_SLOT % IRQ_PCI_PINS)

/* Two machines, of which the old one's kernel takes the card's interrupts by the slave of the 8259s. */
static unsigned pic_machines_make(void)
{
    unsigned isa = irq_pci_isa(NET_SLOT % IRQ_PCI_PINS);

    machines_make();
    assert_in_range(isa, 8, 15);
    pio_write(0xA1, (u8) ~(1 << (isa - 8)));
    return isa - 8;
}

static struct pci_function *card(struct machine *machine)
{
    return &platform_of(&machine->vm)->net.virtio.pci;
}

static bool pin_is_high(struct machine *machine)
{
    return platform_of(&machine->vm)->irq.ioapic.chip.lines >> NET_LINE & 1;
}

static u64 isr_read(struct machine *machine)
{
    struct io io = { .size = 1, .vcpu = &machine->vcpu[0] };

    bus_access(&machine->vm.mmio, (pci_config_get(card(machine), PCI_BAR0, 4) & ~0xFU) + 0x1000, &io);
    return io.val;
}

/* At the 8259s in the place that the Interrupt Line register tells, and at a pin of the I/O APIC of its own. */
static void test_a_line_reaches_both_controllers(void **unused)
{
    unsigned input;

    (void)unused;
    input = pic_machines_make();
    pci_intx(card(&rig.old), true);
    assert_true(pin_is_high(&rig.old));
    assert_false(platform_of(&rig.old.vm)->irq.ioapic.chip.lines >> (8 + input) & 1);
    assert_true(irq_extint(&rig.old.vm));
    assert_int_equal(irq_extint_ack(&rig.old.vm), 0x38 + input);
    pio_write(0xA0, 0x20);
    pio_write(0x20, 0x20);
    assert_true(irq_extint(&rig.old.vm)); /* a level: it was not taken away */
    pci_intx(card(&rig.old), false);
    assert_false(irq_extint(&rig.old.vm));
    assert_false(pin_is_high(&rig.old));
}

/* The 8254's, by the I/O APIC: in the mailbox, requested, and taken. */
static void test_an_edge_waits_until_it_is_taken(void **unused)
{
    const struct interrupt_ops *ops;

    (void)unused;
    machines_make();
    ops = rig.old.vcpu[0].interrupts;
    ops->write_msr(&rig.old.vcpu[0], MSR_KVM_PV_EOI_EN, 0);
    poke(0xFEE000B0, 4, 0); /* EOI of what is in service */
    poke(0xFEC00000, 4, 0x14);
    poke(0xFEC00010, 4, 0x75);
    assert_false(irq_waits(&rig.old.vm, PIT_LINE));
    irq_line(&rig.old.vm, PIT_LINE, false);
    irq_line(&rig.old.vm, PIT_LINE, true);
    assert_true(irq_waits(&rig.old.vm, PIT_LINE));
    assert_false(ops->pending(&rig.old.vcpu[0])); /* asking changes nothing */
    ops->take(&rig.old.vcpu[0]);
    assert_true(ops->pending(&rig.old.vcpu[0]));
    assert_true(irq_waits(&rig.old.vm, PIT_LINE));
    assert_int_equal(ops->ack(&rig.old.vcpu[0]), 0x75);
    assert_false(irq_waits(&rig.old.vm, PIT_LINE));
    poke(0xFEC00010, 4, 0x10075); /* masked: by the 8259, whose line is masked, too */
    assert_false(irq_waits(&rig.old.vm, PIT_LINE));
    pio_write(0x21, 0xFA);
    assert_true(irq_waits(&rig.old.vm, PIT_LINE));
}

/* Ticks that have come by the moment in which time stops, before anybody looked. */
static void test_a_freeze_counts_ticks(void **unused)
{
    (void)unused;
    machines_make(); /* the 8254 ticks every 10 ms */
    rig.tsc += clock_ns_to_ticks(105000000);
    platform_freeze(&rig.old.vm);
    assert_int_equal(platform_of(&rig.old.vm)->pit.owed, 10);
    platform_thaw(&rig.old.vm);
}

/* A line that is high moves, at both controllers; at the destination a read of the ISR lets it fall. */
static void test_a_line_that_is_high_moves(void **unused)
{
    struct list *to;

    (void)unused;
    pic_machines_make();
    virtio_config_changed(&platform_of(&rig.old.vm)->net.virtio);
    to = rig.new.vm.devices.next;
    for (struct list *from = rig.old.vm.devices.next; from != &rig.old.vm.devices; from = from->next) {
        assert_null(move(device_of(from), device_of(to)));
        to = to->next;
    }
    assert_true(irq_extint(&rig.new.vm) && pin_is_high(&rig.new));
    assert_int_equal(isr_read(&rig.new), 2);
    assert_false(irq_extint(&rig.new.vm) || pin_is_high(&rig.new));
    assert_int_equal(isr_read(&rig.new), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_line_reaches_both_controllers, platform_rig_setup,
                                        platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_an_edge_waits_until_it_is_taken, platform_rig_setup,
                                        platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_a_freeze_counts_ticks, platform_rig_setup, platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_a_line_that_is_high_moves, platform_rig_setup, platform_rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All devices of a guest together: what one machine saves, another one takes and would save again, byte for byte.
 *
 * Time stands still meanwhile: unit_tsc gives the time of the test.
 */
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
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/clock.h"
#include "host/msr_index.h"
#include "dev/platform_map.h"
#include "dev/pv_eoi.h"
#include "dev/pvclock.h"
#include "host/bits.h"
#include "mm/guest_missing.h"
#include "tests/unit/platform_rig.h"

#define TSC_KHZ PLATFORM_RIG_TSC_KHZ

static void test_every_device_moves(void **unused)
{
    const char *wrong = NULL, *name = NULL;
    unsigned devices = 0;

    (void)unused;
    machines_make();
    pio_read(0x71); /* the CMOS clock counts when it is looked at */
    struct list *to = rig.new.vm.devices.next;

    for (struct list *from = rig.old.vm.devices.next; from != &rig.old.vm.devices && !wrong; from = from->next) {
        name = device_of(from)->ops->name;
        wrong = move(device_of(from), device_of(to));
        to = to->next;
        devices++;
    }
    if (wrong)
        fail_msg("%s %s", name, wrong);
    assert_ptr_equal(to, &rig.new.vm.devices);
    assert_int_equal(devices, 11);
}

/* --- Arriving on another machine --------------------------------------------------------------------------- */

#define PAUSE_MS 100
#define SLEEP_MS 50 /* what is left of the guest's timer */

struct arrival {
    u64 passed, due; /* guest ticks in the pause; host ticks until the timer fires */
    u64 rate;        /* ns in a thousand guest ticks, as the paravirtual clock shows */
};

/* A guest that counts on a TSC of khz arrives here, its APIC timer set by a TSC deadline. Time stands still. */
static struct arrival arrive(u64 khz, bool can_scale)
{
    struct vcpu *vcpu = &rig.new.vcpu[1];
    const struct interrupt_ops *ops = vcpu->interrupts;
    struct pvclock_time clock = { 0 };
    struct arrival arrival;
    u64 before;

    platform_freeze(&rig.new.vm);
    guest_tsc_init(&rig.new.vm.tsc, khz, TSC_KHZ, can_scale);
    vcpu->tsc_offset = 12345678;
    ops->write_msr(vcpu, MSR_APIC_BASE, 0xFEE00C00); /* x2APIC, on, its timer in TSC-deadline mode */
    ops->write_msr(vcpu, MSR_X2APIC_FIRST + (LAPIC_SVR >> 4), 0x1FF);
    ops->write_msr(vcpu, MSR_X2APIC_FIRST + (LAPIC_LVT_TIMER >> 4), 0x400EC);
    before = vcpu_tsc(vcpu, rdtsc());
    vm_platform->write_msr(vcpu, MSR_KVM_SYSTEM_TIME, 0x3000 | 1);
    ops->write_msr(vcpu, MSR_TSC_DEADLINE, before + PAUSE_MS * guest_tsc_khz_here(&rig.new.vm.tsc) + SLEEP_MS * khz);
    rig.tsc += 77777777; /* on its way */
    platform_arrive(&rig.new.vm, PAUSE_MS * 1000000ULL);
    arrival.passed = vcpu_tsc(vcpu, rdtsc()) - before;
    arrival.due = ops->deadline(vcpu) - rdtsc();
    guest_read(&rig.new.vm.mem, 0x3000, &clock, sizeof(clock));
    arrival.rate = time_scale_ns((struct time_scale){ clock.tsc_to_system_mul, clock.tsc_shift }, 1000);
    return arrival;
}

static void check_arrival(const struct arrival *arrival, u64 passed, u64 slack, u64 rate)
{
    assert_in_range(arrival->passed, passed - 2, passed + 2);
    assert_in_range(arrival->due, 100000000, 100000000 + slack);
    assert_int_equal(arrival->rate, rate);
}

static void test_other_frequency(void **unused)
{
    struct arrival same, scaled, unscaled, slow;

    (void)unused;
    machine_init(&rig.old);
    machine_init(&rig.new);
    same = arrive(TSC_KHZ, true);
    scaled = arrive(TSC_KHZ / 2, true);
    slow = arrive(TSC_KHZ * 4, true);
    unscaled = arrive(TSC_KHZ / 2, false);
    check_arrival(&same, 200000000, 2, 500);
    check_arrival(&scaled, 100000000, 4, 1000);
    check_arrival(&slow, 800000000, 4, 125);
    /* It reads the host's, its clock knows, and its timer keeps its length. */
    check_arrival(&unscaled, 200000000, 4, 500);
}

/* --- Having stood ------------------------------------------------------------------------------------------ */

#define CLOCK 0x3000
#define STEAL 0x3200

static u8 clock_flags(void)
{
    struct pvclock_time clock;

    assert_int_equal(guest_read(&rig.new.vm.mem, CLOCK, &clock, sizeof(clock)), 0);
    return clock.flags;
}

static void clock_flags_clear(void)
{
    u8 none = 0;

    guest_write(&rig.new.vm.mem, CLOCK + offsetof(struct pvclock_time, flags), &none, sizeof(none));
}

static u64 stolen(void)
{
    struct kvm_steal_time area;

    assert_int_equal(guest_read(&rig.new.vm.mem, STEAL, &area, sizeof(area)), 0);
    return area.steal;
}

/* By a pause, at the end of a move that failed, and after one that did not: each vcpu finds that it has stood, until it
 * has looked; and the time for which it could not run. */
static void test_it_is_told_that_it_stood(void **unused)
{
    struct vcpu *vcpu = &rig.new.vcpu[1];

    (void)unused;
    machine_init(&rig.old);
    machine_init(&rig.new);
    assert_int_equal(vm_platform->write_msr(vcpu, MSR_KVM_SYSTEM_TIME, CLOCK | 1), 0);
    assert_int_equal(vm_platform->write_msr(vcpu, MSR_KVM_STEAL_TIME, STEAL | 1), 0);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE);

    rig.tsc += clock_ns_to_ticks(1000);
    vm_platform->waits(vcpu);
    rig.tsc += clock_ns_to_ticks(5000);
    vm_platform->stood(&rig.new.vm);
    vm_platform->goes_on(vcpu);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);
    vm_platform->tsc_changed(vcpu);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);
    clock_flags_clear();
    vm_platform->tsc_changed(vcpu);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE);
    assert_in_range(stolen(), 4998, 5002);

    vm_platform->waits(vcpu);
    platform_freeze(&rig.new.vm);
    rig.tsc += clock_ns_to_ticks(STOOD_NS + 1000);
    platform_thaw(&rig.new.vm);
    vm_platform->goes_on(vcpu);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);
    assert_in_range(stolen(), STOOD_NS + 5996, STOOD_NS + 6004);

    clock_flags_clear();
    vm_platform->waits(vcpu);
    platform_freeze(&rig.new.vm);
    rig.tsc += 77777777; /* on its way: the machine's own time says nothing */
    platform_arrive(&rig.new.vm, 2000);
    vm_platform->goes_on(vcpu);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);
    assert_in_range(stolen(), STOOD_NS + 7994, STOOD_NS + 8006);
}

/* By checkpoints its watchdogs are not begun anew: a guest that hangs while it is protected shall be reported. */
static void test_checkpoints_are_no_pauses(void **unused)
{
    (void)unused;
    machine_init(&rig.old);
    machine_init(&rig.new);
    assert_int_equal(vm_platform->write_msr(&rig.new.vcpu[1], MSR_KVM_SYSTEM_TIME, CLOCK | 1), 0);
    for (unsigned i = 0; i < 50; i++) {
        platform_freeze(&rig.new.vm);
        rig.tsc += clock_ns_to_ticks(STOOD_NS / 20);
        platform_thaw(&rig.new.vm);
        rig.tsc += clock_ns_to_ticks(25000000);
        assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE);
    }
}

/* A guest arrives, and its structures are in missing pages: all vcpus wait for all of them, because the programs of one
 * read the clock of another. An MSR that names a missing page is not written before the page is here. */
static void test_structures_in_missing_pages(void **unused)
{
    struct guest_mem *mem = &rig.new.vm.mem;
    struct vcpu *vcpu = rig.new.vcpu;
    static u8 page[PAGE_SIZE];
    u64 wanted, value, behind;

    (void)unused;
    machine_init(&rig.old);
    machine_init(&rig.new);
    assert_int_equal(vm_platform->write_msr(&vcpu[1], MSR_KVM_SYSTEM_TIME, CLOCK | 1), 0);
    platform_freeze(&rig.new.vm);
    assert_int_equal(guest_read(mem, 0x3000, page, PAGE_SIZE), 0);
    assert_int_equal(guest_mem_expect(mem, 0x3000, 1), 0);
    assert_int_equal(guest_mem_expect(mem, 0x5000, 1), 0);
    platform_arrive(&rig.new.vm, 1000);
    assert_true(rig.new.vm.behind);
    assert_true(guest_mem_wanted(mem, &wanted));
    assert_int_equal(wanted, 3);
    behind = rig.new.vm.behind;
    vm_platform->stood(&rig.new.vm);
    assert_int_equal(rig.new.vm.behind, behind); /* since it arrived */
    assert_int_equal(guest_mem_supply(mem, 3, page), 0);
    vm_platform->stood(&rig.new.vm);
    assert_int_equal(rig.new.vm.behind, 0);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);

    assert_int_equal(vm_platform->write_msr(&vcpu[0], MSR_KVM_SYSTEM_TIME, 0x5000 | 1), -EAGAIN);
    assert_int_equal(vm_platform->write_msr(&vcpu[0], MSR_KVM_STEAL_TIME, 0x5040 | 1), -EAGAIN);
    assert_int_equal(vm_platform->write_msr(&vcpu[0], MSR_KVM_WALL_CLOCK, 0x5100), -EAGAIN);
    assert_int_equal(vcpu[0].interrupts->write_msr(&vcpu[0], MSR_KVM_PV_EOI_EN, 0x5200 | 1), -EAGAIN);
    assert_int_equal(vm_platform->read_msr(&vcpu[0], MSR_KVM_SYSTEM_TIME, &value) | (int)value, 0);
    assert_int_equal(vm_platform->read_msr(&vcpu[0], MSR_KVM_STEAL_TIME, &value) | (int)value, 0);
    assert_int_equal(vm_platform->read_msr(&vcpu[0], MSR_KVM_WALL_CLOCK, &value) | (int)value, 0);
    assert_int_equal(vcpu[0].interrupts->read_msr(&vcpu[0], MSR_KVM_PV_EOI_EN, &value) | (int)value, 0);
    assert_int_equal(guest_mem_supply(mem, 5, NULL), 0);
    assert_int_equal(vm_platform->write_msr(&vcpu[0], MSR_KVM_SYSTEM_TIME, 0x5000 | 1), 0);
    assert_int_equal(vcpu[0].interrupts->write_msr(&vcpu[0], MSR_KVM_PV_EOI_EN, 0x5200 | 1), 0);
}

/* The date is the guest's: another machine's clock may show another second. And its paravirtual clock does not come
 * apart from its devices' time in years, though the new machine has measured a slightly different frequency. */
static void test_clocks_stay_together(void **unused)
{
    struct vcpu *vcpu = &rig.new.vcpu[1];
    struct pvclock_time time;
    struct pvclock_wall wall;
    u64 ticks, shown;

    (void)unused;
    machine_init(&rig.old);
    machine_init(&rig.new);
    platform_of(&rig.old.vm)->pvclock.start = 1234567890123456789ULL;
    assert_null(move(&platform_of(&rig.old.vm)->pvclock.device, &platform_of(&rig.new.vm)->pvclock.device));
    assert_int_equal(vm_platform->write_msr(vcpu, MSR_KVM_WALL_CLOCK, 0x3100), 0);
    guest_read(&rig.new.vm.mem, 0x3100, &wall, sizeof(wall));
    assert_int_equal(wall.sec, 1234567890);
    assert_int_equal(wall.nsec, 123456789);

    vm_platform->write_msr(vcpu, MSR_KVM_SYSTEM_TIME, CLOCK | 1);
    platform_freeze(&rig.new.vm);
    guest_tsc_init(&rig.new.vm.tsc, TSC_KHZ + TSC_KHZ / 10000, TSC_KHZ, true);
    platform_arrive(&rig.new.vm, 1000000);
    rig.tsc += 100000000ULL * TSC_KHZ;
    guest_read(&rig.new.vm.mem, CLOCK, &time, sizeof(time));
    ticks = vcpu_tsc(vcpu, rig.tsc) - time.tsc_timestamp;
    shown = time.system_time + time_scale_ns((struct time_scale){ time.tsc_to_system_mul, time.tsc_shift }, ticks);
    assert_int_equal(shown, timers_now(&platform_of(&rig.new.vm)->timers));
}

static void test_init_forgets_where(void **unused)
{
    u64 value;

    (void)unused;
    machines_make();
    pvclock_receive_init(&rig.old.vcpu[1]);
    assert_int_equal(vm_platform->read_msr(&rig.old.vcpu[1], MSR_KVM_STEAL_TIME, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(vm_platform->read_msr(&rig.old.vcpu[1], MSR_KVM_SYSTEM_TIME, &value), 0);
    assert_int_equal(value, 0);
}

/* --- Restored from an image -------------------------------------------------------------------------------------- */

/* A guest that wants the event gets the SCI, until it clears the event; one that moves takes the event with it. */
static void test_generation(void **unused)
{
    struct acpi_pm *pm, *moved;
    u8 none[16] = { 0 }, first[16], second[16];

    (void)unused;
    machines_make();
    pm = &platform_of(&rig.old.vm)->pm;
    moved = &platform_of(&rig.new.vm)->pm;
    pio_write(ACPI_GPE0_PORT + 1, 0xFF);
    assert_int_equal(pio_read(ACPI_GPE0_PORT + 1), BIT(ACPI_GPE_GENERATION));
    assert_int_equal(pio_read(ACPI_GPE0_PORT), 0);
    spin_lock(&rig.old.vm.device_lock);
    acpi_pm_new_generation(pm);
    guest_read(&rig.old.vm.mem, GENERATION_BASE, first, sizeof(first));
    acpi_pm_new_generation(pm);
    guest_read(&rig.old.vm.mem, GENERATION_BASE, second, sizeof(second));
    spin_unlock(&rig.old.vm.device_lock);
    assert_memory_not_equal(first, none, sizeof(first));
    assert_memory_not_equal(first, second, sizeof(first));
    assert_int_equal(pio_read(ACPI_GPE0_PORT), BIT(ACPI_GPE_GENERATION));
    assert_true(platform_of(&rig.old.vm)->irq.ioapic.chip.lines & BIT(ACPI_SCI));
    assert_null(move(&pm->device, &moved->device));
    assert_int_equal(moved->gpe_status, BIT(ACPI_GPE_GENERATION));
    pio_write(ACPI_GPE0_PORT, BIT(ACPI_GPE_GENERATION));
    assert_int_equal(pio_read(ACPI_GPE0_PORT), 0);
    assert_false(platform_of(&rig.old.vm)->irq.ioapic.chip.lines & BIT(ACPI_SCI));
}

/* What was saved has another MAC, which its driver uses on; the clone's port lets out its own only. */
static void test_clone(void **unused)
{
    struct virtio_net *saved, *clone;
    u8 own[MAC_LEN];

    (void)unused;
    machines_make();
    saved = &platform_of(&rig.old.vm)->net;
    clone = &platform_of(&rig.new.vm)->net;
    memcpy(own, clone->mac, MAC_LEN);
    saved->mac[5] ^= 1;
    saved->filter.mac[5] ^= 1;
    rig.new.vm.incoming.clone = true;
    move(&platform_of(&rig.old.vm)->pci.device, &platform_of(&rig.new.vm)->pci.device);
    assert_memory_equal(clone->mac, own, MAC_LEN);
    assert_memory_equal(clone->port.mac, own, MAC_LEN);
    assert_memory_equal(clone->virtio.config, own, MAC_LEN);
    assert_true(clone->port.check_source);
    assert_int_equal(clone->port.nr_addresses, 0);
    assert_false(saved->port.check_source);
    /* It stays one when it moves on. */
    move(&platform_of(&rig.new.vm)->pci.device, &platform_of(&rig.old.vm)->pci.device);
    assert_memory_equal(saved->mac, own, MAC_LEN);
    assert_true(saved->port.check_source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_device_moves, platform_rig_setup, platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_other_frequency, platform_rig_setup, platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_it_is_told_that_it_stood, platform_rig_setup, platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_checkpoints_are_no_pauses, platform_rig_setup, platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_structures_in_missing_pages, platform_rig_setup, platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_clocks_stay_together, platform_rig_setup, platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_init_forgets_where, platform_rig_setup, platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_generation, platform_rig_setup, platform_rig_teardown),
        cmocka_unit_test_setup_teardown(test_clone, platform_rig_setup, platform_rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

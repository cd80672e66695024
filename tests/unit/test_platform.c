/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All devices of a guest together: what one machine saves, another one takes and would save again, byte for byte.
 *
 * Time stands still meanwhile: unit_tsc gives the time of the test.
 */
/* sources: hv/dev/acpi_pm.c hv/dev/apic_bus.c hv/dev/cmos.c hv/dev/console.c hv/dev/i8254.c hv/dev/i8259.c */
/* sources: hv/dev/ioapic.c hv/dev/irq.c hv/dev/lapic.c hv/dev/lapic_timer.c hv/dev/mc146818.c hv/dev/pci.c */
/* sources: hv/dev/pci_msix.c hv/dev/pit.c hv/dev/platform.c hv/dev/pv_eoi.c hv/dev/pvclock.c hv/dev/timer.c */
/* sources: hv/dev/steal_time.c hv/lib/sha256.c */
/* sources: hv/dev/uart16550.c hv/dev/verdict.c hv/dev/virtio_net.c hv/dev/virtio_net_ctrl.c hv/dev/virtio_net_tx.c */
/* sources: hv/dev/virtio_net_state.c net/mac.c net/snoop.c net/announce.c net/offload.c */
/* sources: hv/dev/virtio_pci.c hv/guest_tsc.c */
/* sources: hv/dev/virtio_rng.c hv/dev/virtqueue.c hv/bus.c hv/lib/calendar.c hv/lib/stream.c mm/guest_mem.c */
/* sources: mm/dirty.c mm/npt.c mm/npt_log.c mm/frame.c net/hold.c net/heard.c net/frame.c net/csum.c hv/cpu/random.c */
/* sources: tests/unit/ram.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/asm.h"
#include "hv/cpu/clock.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/msr_index.h"
#include "hv/cpu/rtc.h"
#include "hv/cpu/smp.h"
#include "hv/dev/platform.h"
#include "hv/dev/platform_map.h"
#include "hv/dev/pvclock.h"
#include "hv/lib/bits.h"
#include "hv/lib/stream.h"
#include "hv/msr.h"
#include "hv/sched.h"
#include "hv/vcpu.h"
#include "net/netif.h"
#include "net/switch.h"
#include "net/uplink.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

#define VCPUS 2
#define RAM MiB(4)
#define DEVICE_STATE 16384
#define TSC_KHZ 2000000

struct machine {
    struct vm vm;
    struct vcpu vcpu[VCPUS];
};

static struct machine old, new;
static const struct vm_platform_ops *platform;
static const struct msr_hook *pv_msrs;
static const struct turn_ops *turns;
static u64 tsc = 1ULL << 40; /* what the clocks of this test read */

/* --- The ground that devices stand on ---------------------------------------------------------------------- */

void vm_set_platform(const struct vm_platform_ops *ops)
{
    platform = ops;
}

void msr_set_hook(const struct msr_hook *hook)
{
    pv_msrs = hook;
}

void vcpu_set_turn_ops(const struct turn_ops *ops)
{
    turns = ops;
}

void vm_add_device(struct vm *vm, struct device *device)
{
    list_add_tail(&vm->devices, &device->node);
}

struct list *vm_list(void)
{
    static struct list none = { &none, &none };

    return &none;
}

u64 clock_tsc_khz(void)
{
    return TSC_KHZ;
}

u64 clock_ns(void)
{
    return tsc / 2;
}

u32 cpu_count(void)
{
    return 1;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns * 2;
}

u64 rtc_now_ns(void)
{
    return 1800000000ULL * 1000000000;
}

void rtc_init(void)
{
}
void sched_add_host_work(u64 (*fn)(void))
{
    (void)fn;
}
void cpu_kick(u32 index)
{
    (void)index;
}
void vcpu_wake(struct vcpu *vcpu)
{
    (void)vcpu;
}
void vcpu_reset(struct vcpu *vcpu)
{
    (void)vcpu;
}
void vcpu_start_real(struct vcpu *vcpu, u8 page)
{
    (void)vcpu;
    (void)page;
}
void vm_reset_request(struct vm *vm)
{
    (void)vm;
}
void vm_stop(struct vm *vm, enum vm_status status, const char *format, ...)
{
    (void)vm;
    (void)status;
    (void)format;
}
void port_deliver(struct port *port, const struct frame *frame)
{
    (void)port;
    (void)frame;
}
bool port_give(struct port *port, const struct frame *frame)
{
    (void)port;
    (void)frame;
    return false;
}

void switch_add(struct port *port)
{
    (void)port;
}
void switch_remove(struct port *port)
{
    (void)port;
}
const u8 *netif_port_mac(void)
{
    static const u8 mac[MAC_LEN] = { 2 };

    return mac;
}
const u8 *uplink_mac(void)
{
    return NULL;
}
struct port *switch_ports(void)
{
    return NULL;
}
bool switch_congested(unsigned spare)
{
    (void)spare;
    return false;
}
void switch_input(struct port *from, const struct frame *frame)
{
    (void)from;
    (void)frame;
}

/* Hides RDTSC (hv/cpu/asm.h). */
u64 unit_tsc(void)
{
    return tsc;
}

static void machine_init(struct machine *machine)
{
    struct vm *vm = &machine->vm;

    memset(machine, 0, sizeof(*machine));
    assert_int_equal(npt_init(&vm->npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&vm->mem, &vm->npt, RAM), 0);
    strcpy(vm->name, "guest");
    list_init(&vm->devices);
    vm->created_tsc = rdtsc();
    guest_tsc_init(&vm->tsc, TSC_KHZ, TSC_KHZ, false);
    vm->nr_vcpus = VCPUS;
    for (u32 i = 0; i < VCPUS; i++) {
        vm->vcpu[i] = &machine->vcpu[i];
        machine->vcpu[i].vm = vm;
        machine->vcpu[i].id = i;
    }
    assert_int_equal(platform->attach(vm), 0);
}

static void machine_fini(struct machine *machine)
{
    platform->detach(&machine->vm);
    guest_mem_fini(&machine->vm.mem);
    npt_fini(&machine->vm.npt);
}

static int setup(void **unused)
{
    (void)unused;
    ram_init_full(MiB(64));
    platform_devices_init();
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    machine_fini(&old);
    machine_fini(&new);
    ram_fini();
    return 0;
}

/* --- A guest that has used everything ---------------------------------------------------------------------- */

static u64 pio(u16 port, unsigned size, bool write, u64 value)
{
    struct io io = { .size = (u8)size, .write = write, .val = value, .vcpu = &old.vcpu[0] };

    bus_access(&old.vm.pio, port, &io);
    return io.val;
}

static void pio_write(u16 port, u8 value)
{
    pio(port, 1, true, value);
}

static void poke(u64 address, unsigned size, u64 value)
{
    struct io io = { .size = (u8)size, .write = true, .val = value, .vcpu = &old.vcpu[0] };

    bus_access(&old.vm.mmio, address, &io);
}

static u32 config(unsigned slot, unsigned offset, bool write, u32 value)
{
    pio(0xCF8, 4, true, 0x80000000 | slot << 11 | offset);
    return (u32)pio(0xCFC, 4, write, value);
}

static void use_interrupts(void)
{
    static const u16 pic[][2] = { { 0x20, 0x11 }, { 0x21, 0x30 }, { 0x21, 4 }, { 0x21, 1 }, { 0x21, 0xFB },
                                  { 0xA0, 0x11 }, { 0xA1, 0x38 }, { 0xA1, 2 }, { 0xA1, 1 }, { 0xA1, 0xFE } };

    for (unsigned i = 0; i < ARRAY_SIZE(pic); i++)
        pio_write(pic[i][0], (u8)pic[i][1]);
    poke(0xFEC00000, 4, 0x14); /* I/O APIC: entry 2 */
    poke(0xFEC00010, 4, 0x8045);
    poke(0xFEE000F0, 4, 0x1FF); /* local APIC: on, a periodic timer */
    poke(0xFEE003E0, 4, 0xB);
    poke(0xFEE00320, 4, 0x200EC);
    poke(0xFEE00380, 4, 1000000);
    const struct interrupt_ops *ops = old.vcpu[0].interrupts;
    const struct lapic_ipi edge = { .vector = 0x61, .shorthand = LAPIC_TO_ALL };

    assert_int_equal(ops->write_msr(&old.vcpu[0], MSR_KVM_PV_EOI_EN, 0x2000 | 1), 0);
    assert_true(apic_bus_send(&platform_of(&old.vm)->apics, &edge, false));
    assert_true(ops->pending(&old.vcpu[0]));
    assert_int_equal(ops->ack(&old.vcpu[0]), 0x61); /* in service, its EOI on offer */
}

static void use_clocks(void)
{
    pio_write(0x43, 0x34); /* 8254: counter 0, periodic */
    pio_write(0x40, 0x9C);
    pio_write(0x40, 0x2E);
    pio_write(0x70, 0x0B); /* CMOS clock: periodic interrupt */
    pio_write(0x71, 0x42);
    pio_write(0x70, 0x50);
    pio_write(0x71, 0xA5);
    pio(ACPI_PM1A_EVENT_PORT + 2, 2, true, 0x0101); /* PM timer and power button may interrupt */
    assert_int_equal(pv_msrs->write(&old.vcpu[1], MSR_KVM_SYSTEM_TIME, 0x3000 | 1), 0);
    assert_int_equal(pv_msrs->write(&old.vcpu[0], 0x4B564D00, 0x3100), 0);
    assert_int_equal(pv_msrs->write(&old.vcpu[1], MSR_KVM_STEAL_TIME, 0x3200 | 1), 0);
    turns->waits(&old.vcpu[1]);
}

static void use_console(void)
{
    pio_write(0x3FB, 0x03);
    pio_write(0x3F9, 0x05);
    pio_write(0x3FC, 0x0B);
    pio_write(0x3F8, 'x');
    assert_int_equal(console_input(&platform_of(&old.vm)->console, "typed", 5), 5);
}

/* A driver as far as its first queue. */
static void use_virtio(unsigned slot)
{
    u64 bar = config(slot, 0x10, false, 0) & ~0xFULL;

    config(slot, 0x04, true, 6);
    poke(bar + 0x14, 1, 1);
    poke(bar + 0x14, 1, 3);
    poke(bar + 0x08, 4, 1);
    poke(bar + 0x0C, 4, 1); /* VERSION_1 */
    poke(bar + 0x14, 1, 11);
    poke(bar + 0x16, 2, 0);
    poke(bar + 0x18, 2, 64);
    poke(bar + 0x20, 8, 0x10000 * slot);
    poke(bar + 0x28, 8, 0x10000 * slot + 0x1000);
    poke(bar + 0x30, 8, 0x10000 * slot + 0x2000);
    poke(bar + 0x1C, 2, 1);
    poke(bar + 0x14, 1, 15);
    config(slot, 0x3C, true, 0x55);
}

/* The old one is in use, the new one fresh. */
static void machines_make(void)
{
    machine_init(&old);
    machine_init(&new);
    use_interrupts();
    use_clocks();
    use_console();
    use_virtio(1);
    use_virtio(2);
}

/* --- Saving and loading ------------------------------------------------------------------------------------ */

static struct device *device_of(struct list *node)
{
    return container_of(node, struct device, node);
}

/* Returns NULL, or what is wrong. Not one byte less will do; what was refused does not stand in the way. */
static const char *move(struct device *from, struct device *to)
{
    static u8 bytes[DEVICE_STATE], again[DEVICE_STATE];
    struct writer w = { .buf = bytes, .cap = sizeof(bytes) }, w2 = { .buf = again, .cap = sizeof(again) };
    struct reader r = { .buf = bytes };

    if (from->ops->save(from, &w))
        return "is not saved";
    for (; r.len < w.len; r = (struct reader){ .buf = bytes, .len = r.len + 1 })
        if (to->ops->load(to, &r) == 0)
            return "takes less than was saved";
    to->ops->reset(to);
    if (to->ops->load(to, &r))
        return "is not loaded";
    if (r.pos != w.len)
        return "leaves a part of it unread";
    if (to->ops->save(to, &w2) || w2.len != w.len || memcmp(bytes, again, w.len) != 0)
        return "has not become what was saved";
    return NULL;
}

static void test_every_device_moves(void **unused)
{
    const char *wrong = NULL, *name = NULL;
    unsigned devices = 0;

    (void)unused;
    machines_make();
    pio(0x71, 1, false, 0); /* the CMOS clock counts when it is looked at */
    struct list *to = new.vm.devices.next;

    for (struct list *from = old.vm.devices.next; from != &old.vm.devices && !wrong; from = from->next) {
        name = device_of(from)->ops->name;
        wrong = move(device_of(from), device_of(to));
        to = to->next;
        devices++;
    }
    if (wrong)
        fail_msg("%s %s", name, wrong);
    assert_ptr_equal(to, &new.vm.devices);
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
    struct vcpu *vcpu = &new.vcpu[1];
    const struct interrupt_ops *ops = vcpu->interrupts;
    struct pvclock_time clock = { 0 };
    struct arrival arrival;
    u64 before;

    platform_freeze(&new.vm);
    guest_tsc_init(&new.vm.tsc, khz, TSC_KHZ, can_scale);
    vcpu->tsc_offset = 12345678;
    ops->write_msr(vcpu, MSR_APIC_BASE, 0xFEE00C00); /* x2APIC, on, its timer in TSC-deadline mode */
    ops->write_msr(vcpu, MSR_X2APIC_FIRST + (LAPIC_SVR >> 4), 0x1FF);
    ops->write_msr(vcpu, MSR_X2APIC_FIRST + (LAPIC_LVT_TIMER >> 4), 0x400EC);
    before = vcpu_tsc(vcpu, rdtsc());
    pv_msrs->write(vcpu, MSR_KVM_SYSTEM_TIME, 0x3000 | 1);
    ops->write_msr(vcpu, MSR_TSC_DEADLINE, before + PAUSE_MS * guest_tsc_khz_here(&new.vm.tsc) + SLEEP_MS * khz);
    tsc += 77777777; /* on its way */
    platform_arrive(&new.vm, PAUSE_MS * 1000000ULL);
    arrival.passed = vcpu_tsc(vcpu, rdtsc()) - before;
    arrival.due = ops->deadline(vcpu) - rdtsc();
    guest_read(&new.vm.mem, 0x3000, &clock, sizeof(clock));
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
    machine_init(&old);
    machine_init(&new);
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

    assert_int_equal(guest_read(&new.vm.mem, CLOCK, &clock, sizeof(clock)), 0);
    return clock.flags;
}

static void clock_flags_clear(void)
{
    u8 none = 0;

    guest_write(&new.vm.mem, CLOCK + offsetof(struct pvclock_time, flags), &none, sizeof(none));
}

static u64 stolen(void)
{
    struct kvm_steal_time area;

    assert_int_equal(guest_read(&new.vm.mem, STEAL, &area, sizeof(area)), 0);
    return area.steal;
}

/* By a pause, at the end of a move that failed, and after one that did not: each vcpu finds that it has stood, until it
 * has looked; and the time for which it could not run. */
static void test_it_is_told_that_it_stood(void **unused)
{
    struct vcpu *vcpu = &new.vcpu[1];

    (void)unused;
    machine_init(&old);
    machine_init(&new);
    assert_int_equal(pv_msrs->write(vcpu, MSR_KVM_SYSTEM_TIME, CLOCK | 1), 0);
    assert_int_equal(pv_msrs->write(vcpu, MSR_KVM_STEAL_TIME, STEAL | 1), 0);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE);

    tsc += clock_ns_to_ticks(1000);
    turns->waits(vcpu);
    tsc += clock_ns_to_ticks(5000);
    platform->stood(&new.vm);
    turns->goes_on(vcpu);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);
    pv_msrs->tsc_changed(vcpu);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);
    clock_flags_clear();
    pv_msrs->tsc_changed(vcpu);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE);
    assert_in_range(stolen(), 4998, 5002);

    turns->waits(vcpu);
    platform_freeze(&new.vm);
    tsc += clock_ns_to_ticks(1000);
    platform_thaw(&new.vm);
    turns->goes_on(vcpu);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);
    assert_in_range(stolen(), 5996, 6004);

    clock_flags_clear();
    turns->waits(vcpu);
    platform_freeze(&new.vm);
    tsc += 77777777; /* on its way: the machine's own time says nothing */
    platform_arrive(&new.vm, 2000);
    turns->goes_on(vcpu);
    assert_int_equal(clock_flags(), PVCLOCK_TSC_STABLE | PVCLOCK_GUEST_STOPPED);
    assert_in_range(stolen(), 7994, 8006);
}

/* The date is the guest's: another machine's clock may show another second. And its paravirtual clock does not come
 * apart from its devices' time in years, though the new machine has measured a slightly different frequency. */
static void test_clocks_stay_together(void **unused)
{
    struct vcpu *vcpu = &new.vcpu[1];
    struct pvclock_time time;
    struct pvclock_wall wall;
    u64 ticks, shown;

    (void)unused;
    machine_init(&old);
    machine_init(&new);
    platform_of(&old.vm)->pvclock.start = 1234567890123456789ULL;
    assert_null(move(&platform_of(&old.vm)->pvclock.device, &platform_of(&new.vm)->pvclock.device));
    assert_int_equal(pv_msrs->write(vcpu, MSR_KVM_WALL_CLOCK, 0x3100), 0);
    guest_read(&new.vm.mem, 0x3100, &wall, sizeof(wall));
    assert_int_equal(wall.sec, 1234567890);
    assert_int_equal(wall.nsec, 123456789);

    pv_msrs->write(vcpu, MSR_KVM_SYSTEM_TIME, CLOCK | 1);
    platform_freeze(&new.vm);
    guest_tsc_init(&new.vm.tsc, TSC_KHZ + TSC_KHZ / 10000, TSC_KHZ, true);
    platform_arrive(&new.vm, 1000000);
    tsc += 100000000ULL * TSC_KHZ;
    guest_read(&new.vm.mem, CLOCK, &time, sizeof(time));
    ticks = vcpu_tsc(vcpu, tsc) - time.tsc_timestamp;
    shown = time.system_time + time_scale_ns((struct time_scale){ time.tsc_to_system_mul, time.tsc_shift }, ticks);
    assert_int_equal(shown, timers_now(&platform_of(&new.vm)->timers));
}

static void test_init_forgets_where(void **unused)
{
    u64 value;

    (void)unused;
    machines_make();
    pvclock_receive_init(&old.vcpu[1]);
    assert_int_equal(pv_msrs->read(&old.vcpu[1], MSR_KVM_STEAL_TIME, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(pv_msrs->read(&old.vcpu[1], MSR_KVM_SYSTEM_TIME, &value), 0);
    assert_int_equal(value, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_device_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_frequency, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_told_that_it_stood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clocks_stay_together, setup, teardown),
        cmocka_unit_test_setup_teardown(test_init_forgets_where, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

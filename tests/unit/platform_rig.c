/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/platform_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/clock.h"
#include "hv/sched.h"
#include "host/host_work.h"
#include "host/cpu.h"
#include "host/msr_index.h"
#include "host/rtc.h"
#include "host/smp.h"
#include "dev/platform_map.h"
#include "dev/pvclock.h"
#include "host/bits.h"
#include "dev/codec.h"
#include "net/netif.h"
#include "net/switch.h"
#include "net/uplink.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

#define RAM MiB(4)
#define TSC_KHZ PLATFORM_RIG_TSC_KHZ

struct platform_rig rig = { .tsc = 1ULL << 40 };

/* --- The ground that devices stand on ---------------------------------------------------------------------- */

const struct vm_platform_ops *vm_platform;

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
    return rig.tsc / 2;
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
void host_work_add(u64 (*fn)(void))
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
void vcpu_start_real(struct vcpu *vcpu, u32 address)
{
    (void)vcpu;
    (void)address;
}
void vm_hold(struct vm *vm)
{
    (void)vm;
}
void vm_release(struct vm *vm)
{
    (void)vm;
}
void vm_reset_parts(struct vm *vm)
{
    (void)vm;
}
void sched_add(struct vcpu *vcpu)
{
    (void)vcpu;
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
int vm_poweroff(struct vm *vm)
{
    (void)vm;
    return 0;
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

/* Hides RDTSC (host/asm.h). */
u64 unit_tsc(void)
{
    return rig.tsc;
}

void machine_init(struct machine *machine)
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
    assert_int_equal(vm_platform->attach(vm), 0);
}

static void machine_fini(struct machine *machine)
{
    vm_platform->detach(&machine->vm);
    guest_mem_fini(&machine->vm.mem);
    npt_fini(&machine->vm.npt);
}

int platform_rig_setup(void **unused)
{
    (void)unused;
    ram_init_full(MiB(64));
    platform_devices_init();
    return 0;
}

int platform_rig_teardown(void **unused)
{
    (void)unused;
    machine_fini(&rig.old);
    machine_fini(&rig.new);
    ram_fini();
    return 0;
}

/* --- A guest that has used everything ---------------------------------------------------------------------- */

static u64 pio(u16 port, unsigned size, bool write, u64 value)
{
    struct io io = { .size = (u8)size, .write = write, .val = value, .vcpu = &rig.old.vcpu[0] };

    bus_access(&rig.old.vm.pio, port, &io);
    return io.val;
}

u8 pio_read(u16 port)
{
    return (u8)pio(port, 1, false, 0);
}

void pio_write(u16 port, u8 value)
{
    pio(port, 1, true, value);
}

void poke(u64 address, unsigned size, u64 value)
{
    struct io io = { .size = (u8)size, .write = true, .val = value, .vcpu = &rig.old.vcpu[0] };

    bus_access(&rig.old.vm.mmio, address, &io);
}

u32 config(unsigned slot, unsigned offset, bool write, u32 value)
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
    const struct interrupt_ops *ops = rig.old.vcpu[0].interrupts;
    const struct lapic_ipi edge = { .vector = 0x61, .shorthand = LAPIC_TO_ALL };

    assert_int_equal(ops->write_msr(&rig.old.vcpu[0], MSR_KVM_PV_EOI_EN, 0x2000 | 1), 0);
    assert_true(apic_bus_send(&platform_of(&rig.old.vm)->apics, &edge, false));
    ops->take(&rig.old.vcpu[0]);
    assert_true(ops->pending(&rig.old.vcpu[0]));
    assert_int_equal(ops->ack(&rig.old.vcpu[0]), 0x61); /* in service, its EOI on offer */
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
    assert_int_equal(vm_platform->write_msr(&rig.old.vcpu[1], MSR_KVM_SYSTEM_TIME, 0x3000 | 1), 0);
    assert_int_equal(vm_platform->write_msr(&rig.old.vcpu[0], 0x4B564D00, 0x3100), 0);
    assert_int_equal(vm_platform->write_msr(&rig.old.vcpu[1], MSR_KVM_STEAL_TIME, 0x3200 | 1), 0);
    vm_platform->waits(&rig.old.vcpu[1]);
}

static void use_console(void)
{
    pio_write(0x3FB, 0x03);
    pio_write(0x3F9, 0x05);
    pio_write(0x3FC, 0x0B);
    pio_write(0x3F8, 'x');
    assert_int_equal(console_input(&platform_of(&rig.old.vm)->console, "typed", 5), 5);
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
void machines_make(void)
{
    machine_init(&rig.old);
    machine_init(&rig.new);
    use_interrupts();
    use_clocks();
    use_console();
    use_virtio(1);
    use_virtio(2);
}

/* --- Saving and restoring ------------------------------------------------------------------------------------ */

struct device *device_of(struct list *node)
{
    return container_of(node, struct device, node);
}

/* Returns NULL, or what is wrong. Not one byte less will do; what was refused does not stand in the way. */
const char *move(struct device *from, struct device *to)
{
    static u8 bytes[DEVICE_STATE], again[DEVICE_STATE];
    struct codec saved = codec_saver(bytes, sizeof(bytes)), second = codec_saver(again, sizeof(again));
    struct codec restored = codec_restorer(bytes, 0);

    from->ops->state(from, &saved);
    if (saved.err)
        return "is not saved";
    for (; restored.len < saved.at; restored = codec_restorer(bytes, restored.len + 1)) {
        to->ops->state(to, &restored);
        if (!restored.err)
            return "takes less than was saved";
    }
    to->ops->reset(to);
    to->ops->state(to, &restored);
    if (restored.err)
        return "is not restored";
    if (restored.at != saved.at)
        return "leaves a part of it unread";
    to->ops->state(to, &second);
    if (second.err || second.at != saved.at || memcmp(bytes, again, saved.at) != 0)
        return "has not become what was saved";
    return NULL;
}

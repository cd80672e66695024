/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/virtio_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/clock.h"
#include "host/cpu.h"
#include "host/smp.h"
#include "dev/irq.h"
#include "host/bits.h"
#include "dev/codec.h"
#include "tests/unit/npt_formats.h"
#include "net/netif.h"
#include "net/switch.h"
#include "tests/unit/ram.h"

struct rig rig;

void irq_line(struct vm *vm, unsigned line, bool level)
{
    assert_ptr_equal(vm, &rig.vm);
    rig.line[line] = level;
}

void irq_message(struct vm *vm, u64 address, u32 data)
{
    assert_ptr_equal(vm, &rig.vm);
    rig.message_address = address;
    rig.message_data = data;
    rig.messages++;
}

void vm_add_device(struct vm *vm, struct device *device)
{
    (void)vm;
    (void)device;
}

void cpu_kick(u32 index)
{
    assert_int_equal(index, 0);
    rig.kicks++;
}

u64 clock_ns(void)
{
    return rig.clock_ns;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns * rig.ticks_per_ns;
}

u32 cpu_count(void)
{
    return rig.cpus;
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
    static const u8 mac[MAC_LEN] = { 0x56, 0x54, 0, 1, 2, 3 };

    return mac;
}

struct port *switch_ports(void)
{
    return NULL;
}

bool switch_congested(unsigned spare)
{
    (void)spare;
    return rig.congested;
}

bool port_give(struct port *port, const struct frame *frame)
{
    return port->deliver(port, frame);
}

void port_deliver(struct port *port, const struct frame *frame)
{
    port_give(port, frame);
}

void switch_input(struct port *from, const struct frame *frame)
{
    u32 len = 0;

    (void)from;
    assert_true(frame->nr_parts > 0 && frame->nr_parts <= FRAME_PARTS && frame->part[0].len >= 14);
    for (unsigned i = 0; i < frame->nr_parts; i++) {
        assert_true(len + frame->part[i].len <= sizeof(rig.input));
        memcpy(rig.input + len, frame->part[i].data, frame->part[i].len);
        len += frame->part[i].len;
    }
    assert_int_equal(len, frame->len);
    rig.input_len = len;
    rig.offload = frame->offload;
    rig.inputs++;
    if (rig.on_input)
        rig.on_input();
}

int rig_setup(void **unused)
{
    (void)unused;
    memset(&rig, 0, sizeof(rig));
    ram_init_full(MiB(16));
    assert_int_equal(npt_init(&rig.vm.npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&rig.vm.mem, &rig.vm.npt, RIG_RAM), 0);
    rig.cpus = 1;
    rig.vm.status = VM_RUNNING;
    strcpy(rig.vm.name, "rig");
    assert_int_equal(pci_bus_init(&rig.pci, &rig.vm), 0);
    return 0;
}

int rig_teardown(void **unused)
{
    (void)unused;
    guest_mem_fini(&rig.vm.mem);
    npt_fini(&rig.vm.npt);
    ram_fini();
    return 0;
}

static u64 access(struct bus *bus, u64 address, unsigned size, bool write, u64 value)
{
    struct io io = { .size = (u8)size, .write = write, .val = value };

    bus_access(bus, address, &io);
    return io.val;
}

u32 rig_config_read(unsigned slot, unsigned offset, unsigned size)
{
    access(&rig.vm.pio, 0xCF8, 4, true, 0x80000000 | slot << 11 | (offset & 0xFC));
    return (u32)access(&rig.vm.pio, 0xCFC + (offset & 3), size, false, 0);
}

void rig_config_write(unsigned slot, unsigned offset, unsigned size, u32 value)
{
    access(&rig.vm.pio, 0xCF8, 4, true, 0x80000000 | slot << 11 | (offset & 0xFC));
    access(&rig.vm.pio, 0xCFC + (offset & 3), size, true, value);
}

u64 rig_mmio_read(u64 address, unsigned size)
{
    return access(&rig.vm.mmio, address, size, false, 0);
}

void rig_mmio_write(u64 address, unsigned size, u64 value)
{
    access(&rig.vm.mmio, address, size, true, value);
}

u32 rig_bar(unsigned slot, unsigned n)
{
    return rig_config_read(slot, PCI_BAR0 + 4 * n, 4) & ~0xFU;
}

void rig_switch_on(unsigned slot)
{
    rig_config_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

u64 rig_common_read(unsigned slot, unsigned offset, unsigned size)
{
    return rig_mmio_read(rig_bar(slot, 0) + offset, size);
}

void rig_common_write(unsigned slot, unsigned offset, unsigned size, u64 value)
{
    rig_mmio_write(rig_bar(slot, 0) + offset, size, value);
}

bool rig_negotiate(unsigned slot, u64 features)
{
    rig_common_write(slot, VIRTIO_STATUS, 1, 0);
    rig_common_write(slot, VIRTIO_STATUS, 1, 3);
    for (u32 i = 0; i < 2; i++) {
        rig_common_write(slot, VIRTIO_DRIVER_FEATURE_SELECT, 4, i);
        rig_common_write(slot, VIRTIO_DRIVER_FEATURE, 4, (u32)(features >> 32 * i));
    }
    rig_common_write(slot, VIRTIO_STATUS, 1, 3 | VIRTIO_STATUS_FEATURES_OK);
    return rig_common_read(slot, VIRTIO_STATUS, 1) & VIRTIO_STATUS_FEATURES_OK;
}

gpa_t rig_desc(unsigned n)
{
    return 0x10000 + n * 0x4000;
}

gpa_t rig_avail(unsigned n)
{
    return rig_desc(n) + 0x1000;
}

gpa_t rig_used(unsigned n)
{
    return rig_desc(n) + 0x2000;
}

void rig_start(unsigned slot, unsigned queues)
{
    static const u8 zero[0x4000];

    for (unsigned n = 0; n < queues; n++) {
        rig_write(rig_desc(n), zero, sizeof(zero));
        rig_common_write(slot, VIRTIO_QUEUE_SELECT, 2, n);
        rig_common_write(slot, VIRTIO_QUEUE_SIZE, 2, RIG_QUEUE);
        rig_common_write(slot, VIRTIO_QUEUE_VECTOR, 2, n);
        rig_common_write(slot, VIRTIO_QUEUE_DESC, 8, rig_desc(n));
        rig_common_write(slot, VIRTIO_QUEUE_DRIVER, 4, rig_avail(n));
        rig_common_write(slot, VIRTIO_QUEUE_DRIVER + 4, 4, 0);
        rig_common_write(slot, VIRTIO_QUEUE_DEVICE, 8, rig_used(n));
        rig_common_write(slot, VIRTIO_QUEUE_ENABLE, 2, 1);
        assert_int_equal(rig_common_read(slot, VIRTIO_QUEUE_ENABLE, 2), 1);
    }
    rig_common_write(slot, VIRTIO_STATUS, 1, 15);
}

void rig_write(gpa_t gpa, const void *bytes, u64 len)
{
    assert_int_equal(guest_write(&rig.vm.mem, gpa, bytes, len), 0);
}

void rig_read(gpa_t gpa, void *bytes, u64 len)
{
    assert_int_equal(guest_read(&rig.vm.mem, gpa, bytes, len), 0);
}

void rig_set_desc(unsigned n, u16 index, u64 addr, u32 len, u16 flags, u16 next)
{
    struct virtq_desc desc = { addr, len, flags, next };

    rig_write(rig_desc(n) + 16ULL * index, &desc, sizeof(desc));
}

void rig_offer_quietly(unsigned n, u16 head)
{
    u16 idx;

    rig_read(rig_avail(n) + 2, &idx, 2);
    rig_write(rig_avail(n) + 4 + 2ULL * (idx % RIG_QUEUE), &head, 2);
    idx++;
    rig_write(rig_avail(n) + 2, &idx, 2);
}

void rig_offer(unsigned slot, unsigned n, u16 head)
{
    rig_offer_quietly(n, head);
    rig_mmio_write(rig_bar(slot, 0) + 0x3000 + 4 * n, 2, n);
}

u16 rig_used_idx(unsigned n)
{
    u16 idx;

    rig_read(rig_used(n) + 2, &idx, 2);
    return idx;
}

struct virtq_used_elem rig_used_elem(unsigned n, u16 index)
{
    struct virtq_used_elem elem;

    rig_read(rig_used(n) + 4 + 8ULL * (index % RIG_QUEUE), &elem, sizeof(elem));
    return elem;
}

int rig_save_and_restore(void)
{
    static u8 bytes[16384];
    struct codec w = codec_saver(bytes, sizeof(bytes));
    struct device *device = &rig.pci.device;

    device->ops->state(device, &w);
    assert_int_equal(w.err, 0);
    device->ops->reset(device);
    assert_int_equal(rig.vm.mmio.nr_regions, 0);

    /* Not one byte less will do. */
    struct codec cut = codec_restorer(bytes, w.at - 1);

    device->ops->state(device, &cut);
    assert_int_not_equal(cut.err, 0);
    device->ops->reset(device);

    struct codec r = codec_restorer(bytes, w.at);

    device->ops->state(device, &r);
    assert_int_equal(r.at, r.err ? r.at : w.at);
    return r.err;
}

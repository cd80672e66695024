/* SPDX-License-Identifier: BSD-2-Clause */
/* The interrupt pin: a level, through the 8259s and through the I/O APIC, until the ISR status register is read. */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/pic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/virtio/virtio.h"
#include "host/bits.h"

#define PIN_INTX 0x90 /* vector by the I/O APIC */
#define QUIET_US 5000
#define LEVELS 3 /* a level that is not taken away interrupts again, as often as we let it */

#define PCI_COMMAND 4 /* and, in the upper half, the status */
#define INTX_DISABLE BIT(10)
#define INTERRUPT_STATUS BIT(16 + 3)
#define PCI_INTERRUPT 0x3C

static struct virtio *device;
static unsigned line;
static volatile unsigned count, patience; /* interrupts; so many are left standing */
static volatile u8 isr;

static void take(void)
{
    if (++count > patience)
        isr |= *device->isr;
}

static void on_pic(struct trap_frame *frame)
{
    (void)frame;
    take();
    pic_eoi(line);
}

static void on_pin(struct trap_frame *frame)
{
    (void)frame;
    take();
    lapic_eoi();
}

/* A request whose completion is worth an interrupt. */
static void ask(void)
{
    static u8 bytes[16];
    u16 head = device->queue[0].avail.idx % QUEUE_SIZE;

    count = isr = 0;
    device->queue[0].desc[head] = (struct desc){ (u64)bytes, sizeof(bytes), DESC_WRITE, 0 };
    queue_offer(device, 0, head);
    queue_wait(device, 0, LONG_US, NULL);
}

/* Interrupts so far, of `wanted`: any that are too many come meanwhile. */
static unsigned interrupts(unsigned wanted)
{
    u64 end = rdtsc() + clock_ticks(LONG_US);

    sti();
    while (count < wanted && rdtsc() < end)
        pause();
    clock_spin(QUIET_US);
    cli();
    return count;
}

static bool status_bit(void)
{
    return pci_read(device->slot, PCI_COMMAND) & INTERRUPT_STATUS;
}

static void command_set(u32 bits)
{
    pci_write(device->slot, PCI_COMMAND, (pci_read(device->slot, PCI_COMMAND) & 0xFFFF & ~INTX_DISABLE) | bits);
}

/* By one of the controllers, which lets the line through. */
static void check(void)
{
    patience = 0;
    ask();
    report("a request leaves its mark in the status", status_bit());
    report_equal("and is one interrupt", interrupts(1), 1);
    report_equal("of a queue", isr, 1);
    report("which reading takes back", *device->isr == 0 && !status_bit());
    patience = LEVELS;
    ask();
    report_equal("it comes again until it is read", interrupts(LEVELS + 1), LEVELS + 1);
    patience = 0;
    command_set(INTX_DISABLE);
    ask();
    report_equal("a pin that is disabled is silent", interrupts(0), 0);
    report("but the status tells", status_bit());
    command_set(0);
    report_equal("and enabled it speaks", interrupts(1), 1);
}

void intx_test(struct virtio *dev)
{
    u32 told = pci_read(dev->slot, PCI_INTERRUPT);
    unsigned pin;

    device = dev;
    line = (u8)told;
    pin = boot.godwit ? 16 + dev->slot % 4 : line;
    report("INTA is on a line", (told >> 8 & 0xFF) == 1 && line > 2 && line < 16);
    report("the entropy source agrees", virtio_negotiate(dev, FEATURE_VERSION_1));
    virtio_start_intx(dev, 1);
    trap_handle((u8)(PIC_VECTOR + line), on_pic);
    trap_handle(PIN_INTX, on_pin);

    report_prefix("by the 8259s");
    pic_init();
    lapic_write(LAPIC_LVT_LINT0, LVT_EXTINT);
    pic_unmask(line);
    check();
    pic_mask_all();
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);

    report_prefix("by the I/O APIC");
    pin_set(pin, PIN_INTX, PIN_LEVEL);
    check();
    pin_set(pin, PIN_INTX, PIN_MASKED);
    report_prefix(NULL);
}

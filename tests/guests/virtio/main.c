/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio: drives the network card and the entropy source. arp=ADDRESS asks the network for that address;
 * echo=server and echo=client are two guests that talk to each other; attack=rings lies to the card.
 */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "tests/guests/virtio/net.h"
#include "tests/guests/virtio/virtio.h"

#define VECTOR 0x60

const char guest_name[] = "virtio";

static struct virtio rng, net;
static volatile u32 interrupts;

static void on_interrupt(struct trap_frame *frame)
{
    (void)frame;
    interrupts++;
    lapic_eoi();
}

/* BARs as the firmware left them: sizing finds a size and puts the address back. */
static void test_bars(struct virtio *dev)
{
    u32 low = pci_read(dev->slot, 0x10), command = pci_read(dev->slot, 4) & 0xFFFF, mask;

    if (!boot.godwit)
        return;
    pci_write(dev->slot, 4, command & ~2U);
    pci_write(dev->slot, 0x10, ~0U);
    mask = pci_read(dev->slot, 0x10) & ~0xFU;
    pci_write(dev->slot, 0x10, low);
    report("a switched-off device does not answer", *dev->common == 0xFF && dev->common[0x14] == 0xFF);
    pci_write(dev->slot, 4, command);
    report("a BAR tells its size", mask != 0 && (mask & (~mask + 1)) == ~mask + 1 && pci_read(dev->slot, 0x10) == low);
    report("and answers again", dev->common[0x14] != 0xFF);
}

static void test_rng(void)
{
    static u8 first[64], second[64], zero[64];
    int len[2];

    report("the entropy source agrees", virtio_negotiate(&rng, FEATURE_VERSION_1 | FEATURE_EVENT_IDX));
    virtio_start(&rng, 1, VECTOR);
    rng.queue[0].desc[0] = (struct desc){ (u64)first, sizeof(first), DESC_WRITE, 0 };
    queue_offer(&rng, 0, 0);
    len[0] = queue_wait(&rng, 0, LONG_US, NULL);
    rng.queue[0].desc[1] = (struct desc){ (u64)second, sizeof(second), DESC_WRITE, 0 };
    queue_offer(&rng, 0, 1);
    len[1] = queue_wait(&rng, 0, LONG_US, NULL);
    report("it gives bytes", len[0] > 0 && len[0] <= 64 && len[1] > 0 && len[1] <= 64);
    report("which are not zero and never the same", memcmp(first, second, 64) && memcmp(first, zero, 64));
}

static void test_negotiation(void)
{
    if (boot.godwit) /* plain QEMU lets it pass */
        report("version 1 is not optional", !virtio_negotiate(&net, NET_F_MAC));
    report("the network card agrees", net_start(&net, VECTOR));
    kprintf("features 0x%lx of 0x%lx, address %02x:%02x:%02x:%02x:%02x:%02x\n", net.features, virtio_offered(&net),
            net_mac[0], net_mac[1], net_mac[2], net_mac[3], net_mac[4], net_mac[5]);
    report("its address is one card's", !(net_mac[0] & 1) && (net_mac[0] | net_mac[5]));
    report("the link is up", net.config[6] & 1);
}

static void test_card(void)
{
    static struct net_frame frame = { .to = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF }, .type = { 0x88, 0xB5 } };
    u32 before;

    report_equal("promiscuous mode", net_command(&net, 0, 0, "\1", 1), 0);
    report_equal("and off again", net_command(&net, 0, 0, "\0", 1), 0);
    report_equal("a MAC table", net_command(&net, 1, 0, "\1\0\0\0\x52\x54\0\1\2\3\0\0\0\0", 14), 0);
    report_equal("an unknown command is refused", net_command(&net, 77, 0, "", 1), 1);
    memcpy(frame.from, net_mac, 6);
    before = interrupts;
    net.queue[NET_TX].avail.used_event = net.queue[NET_TX].seen; /* an interrupt for the next one, please */
    report("a frame is taken", net_send(&net, &frame, 60));
    sti();
    for (unsigned i = 0; i < LONG_US / 100 && interrupts == before; i++)
        clock_spin(100);
    cli();
    report("and its interrupt comes", interrupts != before);
}

void guest_main(void)
{
    char value[32];

    lapic_enable();
    trap_handle(VECTOR, on_interrupt);
    if (!virtio_find(&net, VIRTIO_NET) || !virtio_find(&rng, VIRTIO_RNG)) {
        report_skip("virtio", "there are no such devices");
        return;
    }
    report("bus 0 has a host bridge", (pci_read(0, 8) >> 16) == 0x0600);
    test_bars(&net);
    intx_test(&rng);
    test_rng();
    test_negotiation();
    test_card();
    if (boot_option("arp", value, sizeof(value)))
        net_arp_test(&net, value);
    if (boot_option("echo", value, sizeof(value))) {
        if (strcmp(value, "server") == 0)
            net_echo_server(&net);
        else
            net_echo_client(&net);
    }
    if (boot_option("attack", value, sizeof(value)))
        attack_rings(&net);
    report("the entropy source is as well as before", virtio_status(&rng) == 15);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intel 82540EM ("PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual", section 13 for the
 * registers), as QEMU and Bochs emulate it. The driver does not rely on the functions that they leave out: a reset that
 * resets, interrupt throttling, the check of received checksums.
 *
 * Received frames go to the switch where the card put them. Frames to send are copied once, into buffers of ours.
 */
#define LOG_PREFIX "e1000"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/asm.h"
#include "host/clock.h"
#include "host/bits.h"
#include "host/log.h"
#include "host/frame.h"
#include "host/host_map.h"
#include "net/csum.h"
#include "net/ethernet.h"
#include "net/offload.h"
#include "net/pci_host.h"
#include "net/uplink.h"

#define E1000_CTRL 0x0000
#define CTRL_SLU BIT(6)
#define CTRL_RST BIT(26)
#define E1000_EERD 0x0014
#define EERD_START BIT(0)
#define EERD_DONE BIT(4)
#define E1000_ICR 0x00C0
#define E1000_ITR 0x00C4
#define E1000_IMS 0x00D0
#define E1000_IMC 0x00D8
#define INT_TXDW BIT(0)
#define INT_RXDMT0 BIT(4)
#define INT_RXO BIT(6)
#define INT_RXT0 BIT(7)
#define E1000_RCTL 0x0100
#define RCTL_EN BIT(1)
#define RCTL_UPE BIT(3)
#define RCTL_MPE BIT(4)
#define RCTL_BAM BIT(15)
#define RCTL_SECRC BIT(26)
#define E1000_TCTL 0x0400
#define TCTL_EN BIT(1)
#define TCTL_PSP BIT(3)
#define TCTL_CT (0x10 << 4)
#define TCTL_COLD (0x40 << 12)
#define E1000_TIPG 0x0410
#define TIPG_DEFAULT (10 | 8 << 10 | 6 << 20)
#define E1000_RDBAL 0x2800
#define E1000_RDBAH 0x2804
#define E1000_RDLEN 0x2808
#define E1000_RDH 0x2810
#define E1000_RDT 0x2818
#define E1000_RDTR 0x2820
#define E1000_TDBAL 0x3800
#define E1000_TDT 0x3818
#define E1000_RADV 0x282C
#define E1000_MTA 0x5200
#define MTA_ENTRIES 128
#define E1000_RAL0 0x5400
#define E1000_RAH0 0x5404
#define RAH_AV BIT(31)

#define REGISTERS_SIZE KiB(128)
#define INTERRUPTS (INT_RXT0 | INT_RXO | INT_RXDMT0)

#define NR_RX 256
#define RX_BUFFER 2048
#define RX_RETURN 16 /* descriptors given back at a time: each time costs a register write */
#define NR_TX 256
#define TX_BUFFER 4096
#define TX_MAX (FRAME_MAX / TX_BUFFER + 3) /* descriptors of the largest frame: tx_need */

/* Manual 3.2.3: receive descriptor. */
struct rx_descriptor {
    u64 address;
    u16 length, csum;
    u8 status, errors;
    u16 special;
};
#define RX_DD BIT(0)
#define RX_EOP BIT(1)

/* Manual 3.3.3, 3.3.6, 3.3.7: all transmit descriptors have this shape; in a context descriptor `address` holds
 * offsets. */
struct tx_descriptor {
    u64 address;
    u32 command; /* DTALEN, DTYP and DCMD */
    u8 status;   /* in a context descriptor HDRLEN and MSS follow */
    u8 options;
    u16 special;
};
#define TX_EOP BIT(24)
#define TX_IFCS BIT(25)
#define TX_TSE BIT(26)
#define TX_RS BIT(27)
#define TX_DEXT BIT(29)
#define TX_DATA BIT(20) /* DTYP of a data descriptor; 0: context */
#define TX_CONTEXT_TCP BIT(24)
#define TX_CONTEXT_IP4 BIT(25)
#define TX_DD BIT(0)   /* status */
#define TX_IXSM BIT(0) /* options */
#define TX_TXSM BIT(1)
_Static_assert(sizeof(struct rx_descriptor) == 16 && sizeof(struct tx_descriptor) == 16, "e1000 descriptors");

struct e1000 {
    struct uplink uplink;
    volatile u32 *registers;
    volatile struct rx_descriptor *rx;
    u8 *rx_buffers;
    u32 rx_next, rx_owed; /* the descriptor that the card fills next; how many are not yet given back */
    volatile struct tx_descriptor *tx;
    u8 *tx_buffers;
    u32 tx_next, tx_clean; /* next to fill; oldest that is not known to be sent */
    u16 tx_last[NR_TX];    /* of the frame that begins here: its last descriptor */
};

static u32 reg_read(struct e1000 *e, u32 reg)
{
    return e->registers[reg / 4];
}

static void reg_write(struct e1000 *e, u32 reg, u32 value)
{
    e->registers[reg / 4] = value;
}

/* --- Receiving -------------------------------------------------------------------------------------------------- */

static u8 *rx_buffer(struct e1000 *e, u32 index)
{
    return e->rx_buffers + (size_t)index * RX_BUFFER;
}

/* One descriptor stays ours: head = tail would mean an empty ring to some cards and a full one to others. */
static void rx_give_back(struct e1000 *e)
{
    __atomic_thread_fence(__ATOMIC_RELEASE); /* the cleared status before the tail */
    reg_write(e, E1000_RDT, (e->rx_next + NR_RX - 1) % NR_RX);
    e->rx_owed = 0;
}

static void rx_one(struct e1000 *e, volatile struct rx_descriptor *d)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the rest of the descriptor and the buffer after DD */
    /* A frame that does not fit one buffer has pieces without EOP, all of them dropped. */
    if ((d->status & RX_EOP) && d->errors == 0 && d->length <= RX_BUFFER) {
        struct frame frame = frame_of(rx_buffer(e, e->rx_next), d->length);

        headers_parse(&frame);
        switch_input(&e->uplink.port, &frame);
    } else {
        e->uplink.port.counters.rx_dropped++;
    }
    d->status = 0;
    e->rx_next = (e->rx_next + 1) % NR_RX;
    if (++e->rx_owed >= RX_RETURN)
        rx_give_back(e);
}

static bool e1000_poll(struct uplink *uplink)
{
    struct e1000 *e = (struct e1000 *)uplink;

    for (unsigned n = 0; n < UPLINK_BUDGET; n++) {
        if (!(e->rx[e->rx_next].status & RX_DD)) {
            if (e->rx_owed)
                rx_give_back(e);
            /* What came since the last look is still in ICR: unmasking makes it interrupt at once. */
            reg_write(e, E1000_IMS, INTERRUPTS);
            return false;
        }
        rx_one(e, &e->rx[e->rx_next]);
    }
    return true;
}

static bool e1000_silence(struct uplink *uplink)
{
    struct e1000 *e = (struct e1000 *)uplink;
    u32 cause = reg_read(e, E1000_ICR); /* clears it */

    if (!(cause & (INTERRUPTS | INT_TXDW)))
        return false;
    reg_write(e, E1000_IMC, ~0U);
    return true;
}

/* --- Sending ---------------------------------------------------------------------------------------------------- */

static u32 tx_room(struct e1000 *e)
{
    while (e->tx_clean != e->tx_next) {
        u32 last = e->tx_last[e->tx_clean];

        if (!(e->tx[last].status & TX_DD))
            break;
        e->tx_clean = (last + 1) % NR_TX;
    }
    return (e->tx_clean + NR_TX - e->tx_next - 1) % NR_TX;
}

static u32 tx_take(struct e1000 *e)
{
    u32 index = e->tx_next;

    e->tx_next = (index + 1) % NR_TX;
    return index;
}

/* Tell the card the checksum's place, and for segmentation all that it must know of the headers. */
static void tx_context(struct e1000 *e, const struct frame *frame, const struct tso_headers *h)
{
    u64 start = frame->offload.csum_start, field = start + frame->offload.csum_offset;
    struct tx_descriptor d = { .address = start << 32 | field << 40, .command = TX_DEXT | TX_RS };

    if (h) {
        /* IPCSS, IPCSO, IPCSE: where the IPv4 header's checksum is made. */
        d.address |= h->l3 | (u64)(h->l3 + 10) << 8 | (u64)(h->l4 - 1) << 16;
        d.command |= (u32)(frame->len - h->payload) | TX_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP4;
        d.options = (u8)h->payload;
        d.special = frame->offload.gso_size;
    }
    e->tx[tx_take(e)] = d;
}

/* Copy the frame to buffers, its first bytes from `headers`, and describe them. */
static u32 tx_data(struct e1000 *e, const struct frame *frame, u32 command, u8 options)
{
    u32 len = MAX(frame->len, (u32)ETH_MIN), last = 0;

    for (u32 done = 0, piece; done < len; done += piece) {
        u32 have = frame->len > done ? MIN(frame->len - done, (u32)TX_BUFFER) : 0;
        u8 *buffer;

        last = tx_take(e);
        buffer = e->tx_buffers + (size_t)last * TX_BUFFER;
        piece = MIN(len - done, (u32)TX_BUFFER);
        frame_read(frame, done, buffer, have);
        memset(buffer + have, 0, piece - have);
        e->tx[last] = (struct tx_descriptor){
            .address = frame_address(buffer),
            .command = piece | command | (done + piece == len ? TX_EOP : 0),
            .options = options,
        };
    }
    e->uplink.port.counters.copied_bytes += frame->len;
    return last;
}

/* The card adds the length of each segment to the pseudo-header's sum, so it wants a sum without a length (manual
 * 3.3.7.2). */
static void tso_headers_prepare(struct tso_headers *h)
{
    u16 sum = csum_fold(offload_pseudo_sum(h->bytes + h->l3, false, IP_PROTO_TCP, 0));

    memset(h->bytes + h->l3 + 2, 0, 2);  /* total length */
    memset(h->bytes + h->l3 + 10, 0, 2); /* header checksum */
    memcpy(h->bytes + h->l4 + 16, &sum, 2);
}

static void e1000_flush(struct uplink *uplink)
{
    struct e1000 *e = (struct e1000 *)uplink;

    __atomic_thread_fence(__ATOMIC_RELEASE); /* the descriptors before the tail */
    reg_write(e, E1000_TDT, e->tx_next);
}

static void tx_start(struct e1000 *e, u32 first, u32 last)
{
    e->tx_last[first] = (u16)last;
    uplink_delivered();
}

static u32 tx_need(const struct frame *frame)
{
    return frame->len / TX_BUFFER + 3; /* one for the rest, one for new headers, one for the context */
}

/* Interrupts for sent frames are on only while somebody waits for room. */
static bool e1000_congested(struct port *port, unsigned spare)
{
    struct e1000 *e = (struct e1000 *)port;
    u32 need = (1 + spare) * TX_MAX;

    if (tx_room(e) >= need)
        return false;
    uplink_flush();
    reg_write(e, E1000_IMS, INT_TXDW);
    return tx_room(e) < need;
}

/* Segmentation by the card; IPv4 only, as the manual and both emulators have it. */
static bool tso_send(struct e1000 *e, const struct frame *frame)
{
    struct tso_headers h;
    struct frame out;
    u32 first = e->tx_next;

    if (!offload_tso_headers(frame, &h))
        return false;
    tso_headers_prepare(&h);
    out = frame_of(h.bytes, h.payload);
    frame_append(&out, frame, h.payload, frame->len - h.payload);
    out.offload = frame->offload;
    tx_context(e, &out, &h);
    tx_start(e, first, tx_data(e, &out, TX_DEXT | TX_DATA | TX_TSE | TX_IFCS | TX_RS, TX_IXSM | TX_TXSM));
    return true;
}

static void segment_send(void *ctx, const struct frame *frame);

static bool e1000_deliver(struct port *port, const struct frame *frame)
{
    struct e1000 *e = (struct e1000 *)port;
    bool csum = frame->offload.flags & OFFLOAD_NEEDS_CSUM;
    u32 first = e->tx_next;

    if (tx_room(e) < tx_need(frame))
        return false;
    if (frame->offload.gso_type == OFFLOAD_GSO_TCP4)
        return tso_send(e, frame);
    if (frame->offload.gso_type != OFFLOAD_GSO_NONE)
        return offload_finish(frame, segment_send, e);
    if (csum) {
        if (frame->offload.csum_start + frame->offload.csum_offset + 2U > MIN(frame->len, 256U))
            return false;
        tx_context(e, frame, NULL);
    }
    tx_start(e, first, tx_data(e, frame, (csum ? TX_DEXT | TX_DATA : 0) | TX_IFCS | TX_RS, csum ? TX_TXSM : 0));
    return true;
}

/* Send a segment of IPv6 that we have cut ourselves. */
static void segment_send(void *ctx, const struct frame *frame)
{
    struct e1000 *e = ctx;

    if (!e1000_deliver(&e->uplink.port, frame))
        e->uplink.port.counters.tx_dropped++;
}

/* --- Start ------------------------------------------------------------------------------------------------------ */

static int eeprom_read(struct e1000 *e, u8 word, u16 *value)
{
    reg_write(e, E1000_EERD, (u32)word << 8 | EERD_START);
    for (unsigned us = 0; us < 10000; us += 10) {
        u32 eerd = reg_read(e, E1000_EERD);

        if (eerd & EERD_DONE) {
            *value = (u16)(eerd >> 16);
            return 0;
        }
        clock_delay_us(10);
    }
    return -ETIMEDOUT;
}

static int mac_read(struct e1000 *e)
{
    for (u8 i = 0; i < MAC_LEN / 2; i++) {
        u16 word;

        if (eeprom_read(e, i, &word))
            return -ETIMEDOUT;
        e->uplink.mac[2 * i] = (u8)word;
        e->uplink.mac[2 * i + 1] = (u8)(word >> 8);
    }
    return 0;
}

static void card_reset(struct e1000 *e)
{
    reg_write(e, E1000_IMC, ~0U);
    reg_write(e, E1000_RCTL, 0);
    reg_write(e, E1000_TCTL, 0);
    reg_write(e, E1000_CTRL, reg_read(e, E1000_CTRL) | CTRL_RST);
    clock_delay_us(2000); /* no access within 1 us; the EEPROM is read again within 2 ms */
    reg_write(e, E1000_IMC, ~0U);
    reg_read(e, E1000_ICR);
    reg_write(e, E1000_CTRL, reg_read(e, E1000_CTRL) | CTRL_SLU);
    reg_write(e, E1000_ITR, 0);
    for (u32 i = 0; i < MTA_ENTRIES; i++)
        reg_write(e, E1000_MTA + 4 * i, 0);
}

static void address_set(struct e1000 *e)
{
    const u8 *mac = e->uplink.mac;

    reg_write(e, E1000_RAL0, (u32)mac[0] | (u32)mac[1] << 8 | (u32)mac[2] << 16 | (u32)mac[3] << 24);
    reg_write(e, E1000_RAH0, (u32)mac[4] | (u32)mac[5] << 8 | (u32)RAH_AV);
}

static void ring_set(struct e1000 *e, u32 base_low, const volatile void *ring, u32 bytes)
{
    hpa_t base = frame_address((const void *)ring);

    reg_write(e, base_low, (u32)base);
    reg_write(e, base_low + E1000_RDBAH - E1000_RDBAL, (u32)(base >> 32));
    reg_write(e, base_low + E1000_RDLEN - E1000_RDBAL, bytes);
    reg_write(e, base_low + E1000_RDH - E1000_RDBAL, 0);
    reg_write(e, base_low + E1000_RDT - E1000_RDBAL, 0);
}

static void card_start(struct e1000 *e)
{
    for (u32 i = 0; i < NR_RX; i++)
        e->rx[i] = (struct rx_descriptor){ .address = frame_address(rx_buffer(e, i)) };
    ring_set(e, E1000_RDBAL, e->rx, NR_RX * sizeof(*e->rx));
    ring_set(e, E1000_TDBAL, e->tx, NR_TX * sizeof(*e->tx));
    reg_write(e, E1000_RDTR, 0);
    reg_write(e, E1000_RADV, 0);
    reg_write(e, E1000_TIPG, TIPG_DEFAULT);
    reg_write(e, E1000_TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD);
    reg_write(e, E1000_RCTL, RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_SECRC);
    rx_give_back(e);
}

/* Zeroed contiguous memory, in the direct map; NULL if there is none. */
static void *dma_alloc(unsigned order)
{
    hpa_t frame = frame_alloc(order);

    return frame == FRAME_NONE ? NULL : memset(frame_window(frame), 0, PAGE_SIZE << order);
}

static int memory_get(struct e1000 *e)
{
    e->rx = dma_alloc(0);
    e->tx = dma_alloc(0);
    e->rx_buffers = dma_alloc(7);
    e->tx_buffers = dma_alloc(8);
    return e->rx && e->tx && e->rx_buffers && e->tx_buffers ? 0 : -ENOMEM;
}
_Static_assert(NR_RX * 16 <= PAGE_SIZE && NR_TX * 16 <= PAGE_SIZE, "a ring fits one page");
_Static_assert(NR_RX *RX_BUFFER == PAGE_SIZE << 7 && NR_TX * TX_BUFFER == PAGE_SIZE << 8, "orders of memory_get");

/* Called once at boot: memory that a failed start has taken is not given back. */
struct uplink *e1000_probe(const struct pci_host_function *f)
{
    static struct e1000 e1000;
    struct e1000 *e = &e1000;
    u64 size = 0;
    hpa_t base = pci_bar(f, 0, &size);

    if (e->registers || !base || size < REGISTERS_SIZE)
        return NULL;
    pci_enable(f, true);
    e->registers = host_map_device(base, REGISTERS_SIZE);
    if (!e->registers || memory_get(e)) {
        pr_err("no memory");
        return NULL;
    }
    card_reset(e);
    if (mac_read(e)) {
        pr_err("the EEPROM does not answer");
        return NULL;
    }
    address_set(e);
    card_start(e);
    e->uplink.driver = "e1000";
    e->uplink.poll = e1000_poll;
    e->uplink.silence = e1000_silence;
    e->uplink.flush = e1000_flush;
    e->uplink.port = (struct port){ .name = "uplink",
                                    .offload_csum = true,
                                    .offload_tso = true,
                                    .deliver = e1000_deliver,
                                    .congested = e1000_congested };
    return &e->uplink;
}

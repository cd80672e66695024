/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/guests/virtio/net.h"

#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

#define ASK_US 250000 /* between two questions */
#define ROUNDS 200

/* The first data byte of our own frames. */
enum { HELLO = 1, ECHO, ANSWER, END };

u8 net_mac[6];

static const u8 everyone[6] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };
static struct net_frame out, in;
static struct {
    u8 hdr[HDR_SIZE];
    struct net_frame frame;
} rx[QUEUE_SIZE], tx;

bool net_start(struct virtio *dev, u8 vector)
{
    if (!virtio_negotiate(dev, NET_FEATURES))
        return false;
    for (unsigned i = 0; i < 6; i++)
        net_mac[i] = dev->config[i];
    virtio_start(dev, 3, vector);
    for (u16 i = 0; i < QUEUE_SIZE; i++) {
        dev->queue[NET_RX].desc[i] = (struct desc){ (u64)&rx[i], sizeof(rx[i]), DESC_WRITE, 0 };
        queue_offer(dev, NET_RX, i);
    }
    return true;
}

bool net_send(struct virtio *dev, const struct net_frame *frame, u32 len)
{
    memset(tx.hdr, 0, sizeof(tx.hdr));
    memcpy(&tx.frame, frame, len);
    /* In three pieces, none of which is the header alone or the frame alone. */
    dev->queue[NET_TX].desc[0] = (struct desc){ (u64)&tx, 20, DESC_NEXT, 1 };
    dev->queue[NET_TX].desc[1] = (struct desc){ (u64)&tx + 20, 3, DESC_NEXT, 2 };
    dev->queue[NET_TX].desc[2] = (struct desc){ (u64)&tx + 23, HDR_SIZE + len - 23, 0, 0 };
    queue_offer(dev, NET_TX, 0);
    return queue_wait(dev, NET_TX, LONG_US, NULL) >= 0;
}

u32 net_receive(struct virtio *dev, struct net_frame *frame, u64 us)
{
    u32 head;
    int len = queue_wait(dev, NET_RX, us, &head);

    if (len < HDR_SIZE || head >= QUEUE_SIZE)
        return 0;
    memcpy(frame, &rx[head].frame, (u32)len - HDR_SIZE);
    queue_offer(dev, NET_RX, (u16)head);
    return (u32)len - HDR_SIZE;
}

int net_command(struct virtio *dev, u8 class, u8 command, const void *data, u32 len)
{
    static u8 request[64], answer;
    struct queue *queue = &dev->queue[NET_CTRL];

    request[0] = class;
    request[1] = command;
    memcpy(request + 2, data, len);
    answer = 0xFF;
    queue->desc[0] = (struct desc){ (u64)request, 2 + len, DESC_NEXT, 1 };
    queue->desc[1] = (struct desc){ (u64)&answer, 1, DESC_WRITE, 0 };
    queue_offer(dev, NET_CTRL, 0);
    return queue_wait(dev, NET_CTRL, LONG_US, NULL) < 0 ? -1 : *(volatile u8 *)&answer;
}

static void head_write(struct net_frame *frame, const u8 to[6], u16 type)
{
    memcpy(frame->to, to, 6);
    memcpy(frame->from, net_mac, 6);
    frame->type[0] = (u8)(type >> 8);
    frame->type[1] = (u8)type;
}

static bool is_type(const struct net_frame *frame, u16 type)
{
    return frame->type[0] == type >> 8 && frame->type[1] == (u8)type;
}

/* RFC 826: hardware type, protocol, lengths, operation; then sender and target. We are .15 of the target's network. */
void net_arp_test(struct virtio *dev, const char *text)
{
    static const u8 head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
    u8 target[4] = { 0 }, *sender = &out.data[14];
    bool answered = false;

    for (unsigned i = 0; *text && i < 4; text++) {
        if (*text == '.')
            i++;
        else
            target[i] = (u8)(target[i] * 10 + (*text - '0'));
    }
    memset(&out, 0, sizeof(out));
    head_write(&out, everyone, ETHERTYPE_ARP);
    memcpy(out.data, head, 8);
    memcpy(out.data + 8, net_mac, 6);
    memcpy(sender, target, 4);
    sender[3] = 15;
    memcpy(out.data + 24, target, 4);
    for (unsigned tries = 0; tries < 20 && !answered; tries++) {
        report("an ARP request is sent", net_send(dev, &out, 60));
        while (!answered && net_receive(dev, &in, ASK_US))
            answered = is_type(&in, ETHERTYPE_ARP) && in.data[7] == 2 && memcmp(in.data + 14, target, 4) == 0 &&
                       memcmp(in.to, net_mac, 6) == 0;
    }
    report("and answered", answered);
}

/* Answers each frame with itself; lives until END, or until nobody has asked for long. */
void net_echo_server(struct virtio *dev)
{
    u32 len, echoed = 0;

    while ((len = net_receive(dev, &in, LONG_US)) != 0) {
        if (!is_type(&in, ETHERTYPE_TEST) || in.data[0] == ANSWER)
            continue;
        if (in.data[0] == END)
            break;
        memcpy(&out, &in, len);
        head_write(&out, in.from, ETHERTYPE_TEST);
        out.data[0] = ANSWER;
        if (!net_send(dev, &out, len))
            break;
        echoed++;
    }
    report("the peer has said that it is done", len != 0);
    report("frames were echoed", echoed > ROUNDS);
    kprintf("%u frames echoed\n", echoed);
}

/* One frame to the peer and back. */
static bool echo(struct virtio *dev, u8 kind, u32 len, u8 seed, u64 us)
{
    out.data[0] = kind;
    for (u32 i = 1; i < len - 14; i++)
        out.data[i] = (u8)(seed + i * 7);
    if (!net_send(dev, &out, len))
        return false;
    for (;;) {
        u32 got = net_receive(dev, &in, us);

        if (got == 0)
            return false;
        if (is_type(&in, ETHERTYPE_TEST) && in.data[0] == ANSWER && in.data[1] == out.data[1])
            return got == len && memcmp(in.data + 1, out.data + 1, len - 15) == 0;
    }
}

void net_echo_client(struct virtio *dev)
{
    bool found = false, good = true;
    u64 start;

    head_write(&out, everyone, ETHERTYPE_TEST);
    for (unsigned i = 0; i < LONG_US / 100000 && !found; i++)
        found = echo(dev, HELLO, 60, (u8)i, 100000);
    report("a peer answers a broadcast", found);
    if (!found)
        return;
    head_write(&out, in.from, ETHERTYPE_TEST);
    start = rdtsc();
    for (u32 i = 0; i < ROUNDS && good; i++)
        good = echo(dev, ECHO, MIN(60 + i * 8, FRAME_SIZE), (u8)i, LONG_US);
    report("frames of all sizes come back as they went", good);
    kprintf("%lu us a round trip\n", clock_us(rdtsc() - start) / ROUNDS);
    out.data[0] = END;
    report("the peer is told to end", net_send(dev, &out, 60));
}

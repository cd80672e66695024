/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lies in the transmit queue, each in a device that has just been reset. Whatever the device thinks of it, it answers
 * a reset, and the guest and its other devices go on.
 */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "tests/guests/virtio/net.h"
#include "host/bits.h"

#define LIMIT_US 10000000 /* an emulator's other threads may wait for a processor meanwhile */
#define STORM 500

static u8 buffer[4096] __attribute__((aligned(4096)));
static struct desc table[QUEUE_SIZE];

#define HERE ((u64)buffer)
#define TABLE ((u64)table)
#define NOWHERE 0xD0000000ULL

static const struct lie {
    const char *name;
    struct desc desc[2];
    struct desc indirect[2];
} lies[] = {
    { "a descriptor that is its own successor", { { 0, 64, DESC_NEXT, 0 } }, { { 0 } } },
    { "two in a circle", { { 0, 64, DESC_NEXT, 1 }, { 0, 64, DESC_NEXT, 0 } }, { { 0 } } },
    { "a successor beyond the table", { { 0, 64, DESC_NEXT, QUEUE_SIZE } }, { { 0 } } },
    { "a successor far beyond", { { 0, 64, DESC_NEXT, 0xFFFF } }, { { 0 } } },
    { "an empty buffer", { { 0, 0, 0, 0 } }, { { 0 } } },
    { "a buffer where no memory is", { { NOWHERE, 64, 0, 0 } }, { { 0 } } },
    { "a buffer at the end of the world", { { ~0ULL - 7, 64, 0, 0 } }, { { 0 } } },
    { "a buffer of 4 GiB", { { 0, 0xFFFFFFFF, 0, 0 } }, { { 0 } } },
    { "a buffer over the local APIC", { { 0xFEE00000, 64, 0, 0 } }, { { 0 } } },
    { "a writable buffer to send", { { 0, 64, DESC_WRITE, 0 } }, { { 0 } } },
    { "readable after writable", { { 0, 64, DESC_WRITE | DESC_NEXT, 1 }, { 0, 64, 0, 0 } }, { { 0 } } },
    { "an indirect table with a successor", { { 1, 32, DESC_INDIRECT | DESC_NEXT, 1 } }, { { 0, 64, 0, 0 } } },
    { "an indirect table of no size", { { 1, 0, DESC_INDIRECT, 0 } }, { { 0 } } },
    { "an indirect table of half an entry", { { 1, 24, DESC_INDIRECT, 0 } }, { { 0, 64, 0, 0 } } },
    { "an indirect table of 256 MiB", { { 1, 1 << 28, DESC_INDIRECT, 0 } }, { { 0, 64, DESC_NEXT, 0xFFFF } } },
    { "an indirect table where no memory is", { { NOWHERE, 32, DESC_INDIRECT, 0 } }, { { 0 } } },
    { "an indirect table in an indirect table", { { 1, 32, DESC_INDIRECT, 0 } }, { { 1, 32, DESC_INDIRECT, 0 } } },
    { "a circle in an indirect table", { { 1, 32, DESC_INDIRECT, 0 } }, { { 0, 64, DESC_NEXT, 0 } } },
    { "a successor beyond the indirect table", { { 1, 32, DESC_INDIRECT, 0 } }, { { 0, 64, DESC_NEXT, 2 } } },
};

static bool wait_for_needs_reset(struct virtio *dev)
{
    u64 end = rdtsc() + clock_ticks(LIMIT_US);

    while (!(virtio_status(dev) & STATUS_NEEDS_RESET))
        if (rdtsc() > end)
            return false;
    return true;
}

/* A lie has been told. Other machines may think otherwise of it, or say so in their own way; they have only to live. */
static void expect_stopped(struct virtio *dev, const char *name)
{
    bool stopped = wait_for_needs_reset(dev);

    if (boot.godwit)
        report(name, stopped);
    virtio_reset(dev);
    report("a reset is answered", virtio_status(dev) == 0);
}

/* In the tables above, 0 stands for the buffer's address and 1 for the indirect table's, which constants can't say. */
static struct desc placed(struct desc desc)
{
    if (desc.addr == 0)
        desc.addr = HERE;
    else if (desc.addr == 1)
        desc.addr = TABLE;
    return desc;
}

static void tell(struct virtio *dev, const struct lie *lie)
{
    if (!net_start(dev, 0))
        report("the card starts again", false);
    for (unsigned i = 0; i < 2; i++) {
        dev->queue[NET_TX].desc[i] = placed(lie->desc[i]);
        table[i] = placed(lie->indirect[i]);
    }
    queue_offer(dev, NET_TX, 0);
    expect_stopped(dev, lie->name);
}

static void lie_about_indices(struct virtio *dev)
{
    net_start(dev, 0);
    dev->queue[NET_TX].avail.idx = QUEUE_SIZE + 1;
    queue_notify(dev, NET_TX);
    expect_stopped(dev, "an index that jumps");

    net_start(dev, 0);
    queue_offer(dev, NET_TX, QUEUE_SIZE);
    expect_stopped(dev, "a head beyond the table");

    net_start(dev, 0);
    dev->queue[NET_CTRL].desc[0] = (struct desc){ HERE, 2, 0, 0 };
    queue_offer(dev, NET_CTRL, 0);
    expect_stopped(dev, "a command without room for the answer");
}

static void lie_about_rings(struct virtio *dev)
{
    static const u64 places[][3] = {
        { NOWHERE, 0, 0 }, { 0, NOWHERE, 0 }, { 0, 0, NOWHERE }, { ~0ULL - 15, 0, 0 }, { 8, 0, 0 }, { 0, 0, ~0ULL - 3 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        virtio_negotiate(dev, NET_FEATURES);
        virtio_queue_enable(dev, NET_TX, places[i][0], places[i][1] ? places[i][1] : HERE,
                            places[i][2] ? places[i][2] : HERE + 2048);
        queue_notify(dev, NET_TX);
        expect_stopped(dev, "rings where they can't be");
    }
}

/* Resets and changes of mind while requests are on their way. */
static void be_restless(struct virtio *dev)
{
    for (unsigned i = 0; i < 50; i++) {
        net_start(dev, 0);
        for (u16 k = 0; k < QUEUE_SIZE; k++) {
            dev->queue[NET_TX].desc[k] = (struct desc){ HERE, 100, 0, 0 };
            queue_offer(dev, NET_TX, k);
        }
        virtio_reset(dev);
    }
    net_start(dev, 0);
    for (unsigned i = 0; i < STORM; i++)
        queue_notify(dev, i % 3);
    report("after a storm of notifications the device is well", virtio_status(dev) == 15);
}

/* Rings rewritten with nonsense while the device reads them. */
static void babble(struct virtio *dev)
{
    u64 x = 1;

    for (unsigned round = 0; round < 200; round++) {
        if (virtio_status(dev) != 15)
            net_start(dev, 0);
        for (unsigned i = 0; i < sizeof(struct queue) / 8 - 1; i++) {
            x = x * 6364136223846793005ULL + 1442695040888963407ULL;
            ((u64 *)&dev->queue[round % 2])[i] = x >> (x & 63);
        }
        queue_notify(dev, round % 2);
    }
    virtio_reset(dev);
    report("nonsense in all rings is survived", virtio_status(dev) == 0);
}

void attack_rings(struct virtio *dev)
{
    static struct net_frame frame = { .to = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF }, .type = { 0x88, 0xB5 } };

    for (unsigned i = 0; i < ARRAY_SIZE(lies); i++)
        tell(dev, &lies[i]);
    lie_about_indices(dev);
    lie_about_rings(dev);
    be_restless(dev);
    babble(dev);
    report("the card starts again", net_start(dev, 0));
    memcpy(frame.from, net_mac, 6);
    report("and works as ever", net_send(dev, &frame, 60));
}

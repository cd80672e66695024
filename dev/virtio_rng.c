/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/virtio_rng.h"

#include <string.h>

#include "dev/codec.h"
#include "host/asm.h"
#include "host/clock.h"
#include "tls/random.h"
#include "host/smp.h"
#include "host/bits.h"
#include "hv/vm.h"

#define CLASS_OTHER 0xFF0000
#define QUEUE_SIZE 64

static struct list devices = { &devices, &devices };

/* Add the credit of the time since the last call, up to the burst. */
static void credit_update(struct virtio_rng *rng)
{
    u64 now = clock_ns(), elapsed = MIN(now - rng->credited_ns, NS_PER_S);
    u64 earned = elapsed * VIRTIO_RNG_RATE / NS_PER_S;

    if (earned == 0)
        return;
    rng->credit = (u32)MIN(rng->credit + earned, (u64)VIRTIO_RNG_BURST);
    rng->credited_ns = now;
}

/* Answer one request. False: there is none, or it is refused. */
static bool answer_one(struct virtio_rng *rng)
{
    static struct virtqueue_chain chain; /* host loop only */
    struct virtqueue *vq = &rng->virtio.queue[0];
    u8 bytes[VIRTIO_RNG_REQUEST];

    if (!virtio_live(&rng->virtio, 0) || !virtqueue_pop(vq, &chain))
        return false;
    if (chain.read_len || !chain.write_len) {
        virtqueue_fail(vq, "entropy request is not for writing only");
        return false;
    }
    u32 len = MIN(chain.write_len, VIRTIO_RNG_REQUEST);

    random_fill(bytes, len);
    virtqueue_push(vq, chain.head, virtqueue_write(vq, &chain, 0, bytes, len));
    rng->credit -= MIN(rng->credit, len);
    rng->bytes += len;
    return true;
}

/* Answer as many requests as the credit allows. Returns the host TSC at which to look again. */
static u64 serve(struct virtio_rng *rng)
{
    u64 again = ~0ULL;

    /* Nobody writes the memory of a VM that stands and may be about to leave. */
    if (!vm_runnable(rng->vm) || !__atomic_exchange_n(&rng->pending, false, __ATOMIC_ACQUIRE))
        return again;
    spin_lock(&rng->vm->device_lock);
    credit_update(rng);
    while (rng->credit >= VIRTIO_RNG_REQUEST && answer_one(rng))
        ;
    virtio_complete(&rng->virtio, 0);
    if (rng->credit < VIRTIO_RNG_REQUEST) {
        rng->pending = true;
        again = rdtsc() + clock_ns_to_ticks(VIRTIO_RNG_REQUEST * NS_PER_S / VIRTIO_RNG_RATE);
    } else if (virtqueue_notify_on(&rng->virtio.queue[0])) {
        rng->pending = true;
        again = rdtsc();
    } else if (rng->virtio.queue[0].waits) {
        rng->pending = true;
    }
    spin_unlock(&rng->vm->device_lock);
    return again;
}

u64 virtio_rng_poll(void)
{
    u64 wake = ~0ULL;

    list_each (struct virtio_rng, rng, &devices) {
        u64 again = serve(rng);

        wake = MIN(wake, again);
    }
    return wake;
}

static void notify(struct virtio *virtio, unsigned queue)
{
    (void)queue;
    __atomic_store_n(&((struct virtio_rng *)virtio)->pending, true, __ATOMIC_RELAXED);
    cpu_kick(0);
}

static void reset(struct virtio *virtio)
{
    (void)virtio;
}

/* The queue is the only state: a request is answered in the round in which it is taken. */
static void state(struct virtio *virtio, struct codec *c)
{
    (void)virtio;
    (void)c;
}

static const struct virtio_kind kind = {
    .name = "virtio-rng",
    .id = 4,
    .class_code = CLASS_OTHER,
    .nr_queues = 1,
    .queue_size = QUEUE_SIZE,
    .version = 1,
    .notify = notify,
    .reset = reset,
    .state = state,
};

void virtio_rng_init(struct virtio_rng *rng, struct vm *vm, struct pci_bus *bus, unsigned slot)
{
    rng->vm = vm;
    rng->credit = VIRTIO_RNG_BURST;
    virtio_init(&rng->virtio, &kind, bus, slot);
    list_add_tail(&devices, &rng->node);
}

void virtio_rng_fini(struct virtio_rng *rng)
{
    list_del(&rng->node);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A split virtqueue as its device sees it (virtio 1.2, 2.7).
 *
 * The rings are in the guest's memory, and the guest may change them at any time. Everything that is read from them is
 * copied exactly once, and the copy is checked and used: addresses must lie in the guest's RAM, indices in the table,
 * and chains may have no loop. A fault makes the queue broken, with the reason in `error`; a broken queue does nothing
 * until it is started anew.
 *
 * If a page that a queue needs is missing (mm/guest_missing.h), the queue `waits`, and nothing has been taken from it:
 * its device tries again in a later round of the host loop. A request is taken only when all of its memory is here, and
 * the rings with it, so it can be finished.
 *
 * Of the buffers only their place in RAM is checked: their contents may change while they are read. Not locked: calls
 * on one queue are serialized by its device.
 */
#pragma once

#include "host/types.h"

struct codec;
struct guest_mem;

#define VIRTQUEUE_SIZE_MAX 256
#define VIRTQUEUE_PARTS 256 /* of a chain: drivers may not make a chain that is longer than its queue */

/* Devices access no more bytes of a request than these, of those to read and of those to write: a missing page behind
 * them is not waited for. A frame is the longest. */
#define VIRTQUEUE_REACH (128U << 10)

#define VIRTQ_DESC_F_NEXT 1
#define VIRTQ_DESC_F_WRITE 2
#define VIRTQ_DESC_F_INDIRECT 4
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1
#define VIRTQ_USED_F_NO_NOTIFY 1

/* Descriptor, as it lies in guest memory. */
struct virtq_desc {
    u64 addr;
    u32 len;
    u16 flags, next;
};

struct virtq_used_elem {
    u32 id, len;
};

struct virtqueue {
    struct guest_mem *mem;
    bool enabled;
    bool event_idx, indirect; /* features negotiated */
    u16 size;                 /* entries, a power of two */
    gpa_t desc, avail, used;  /* the driver's areas */
    u16 last_avail;           /* next entry of the available ring to take */
    u16 used_idx;             /* next entry of the used ring that the driver does not know yet */
    u16 staged;               /* entries written from used_idx on */
    u16 signalled;            /* used_idx when the driver was last asked whether it wants an interrupt */
    const char *error;        /* why the queue is broken; NULL: it is not broken */
    bool waits;               /* a page was missing: try again */
};

struct virtqueue_part {
    gpa_t addr;
    u32 len;
};

/* One request: parts for the device to read, then parts for it to write. All of them are RAM. */
struct virtqueue_chain {
    u16 head;
    u16 nr_read, nr_parts;   /* part[0 .. nr_read) are read, the rest up to nr_parts is written */
    u32 read_len, write_len; /* bytes of either kind */
    struct virtqueue_part part[VIRTQUEUE_PARTS];
};

/* Forget everything but the features: the queue has no areas, is not enabled, and has `size` entries from now on. */
void virtqueue_reset(struct virtqueue *vq, struct guest_mem *mem, u16 size);

/* Begin with the areas and the size that are set. False: they are not aligned, or not in RAM; the queue is broken. */
bool virtqueue_start(struct virtqueue *vq);

/* Make the queue broken for a reason of the device's own. The first reason is kept. */
void virtqueue_fail(struct virtqueue *vq, const char *error);

/* Can the queue be used: is it enabled and not broken? */
bool virtqueue_live(const struct virtqueue *vq);

/* Take the next request. False: there is none, or the queue is broken or waits. */
bool virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *chain);

/* Return a request with `len` bytes written to it. The driver learns of it by virtqueue_publish. */
void virtqueue_push(struct virtqueue *vq, u16 head, u32 len);
void virtqueue_publish(struct virtqueue *vq);

/* Forget the last `pops` requests taken, to take them again later, and all returns that were not published. */
void virtqueue_rollback(struct virtqueue *vq, u16 pops);

/* After virtqueue_publish: does the driver want an interrupt for what has been published since the last question? */
bool virtqueue_signal_needed(struct virtqueue *vq);

/*
 * Ask the driver to notify us of new requests, or not to. notify_on returns true if a request has come meanwhile: take
 * it, because the driver may not have notified us of it. A queue that waits is looked at again anyway.
 */
bool virtqueue_notify_on(struct virtqueue *vq);
void virtqueue_notify_off(struct virtqueue *vq);

/*
 * Copy up to `len` bytes from the chain's readable parts, or to its writable parts, from `offset` bytes into them on.
 * Returns how many bytes there were.
 */
u32 virtqueue_read(struct virtqueue *vq, const struct virtqueue_chain *chain, u32 offset, void *buffer, u32 len);
u32 virtqueue_write(struct virtqueue *vq, const struct virtqueue_chain *chain, u32 offset, const void *buffer, u32 len);

/* The queue's state, except mem and features, which the transport has. What is restored is judged as a driver's setting
 * is; if it is refused, the queue stays as it was. */
void virtqueue_state(struct virtqueue *vq, struct codec *c);

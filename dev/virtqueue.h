/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A split virtqueue as its device sees it (virtio 1.2, 2.7).
 *
 * The rings are the guest's, who may change them at any time. Everything read of them is copied exactly once, and the
 * copy is judged and used: addresses against the guest's RAM, indices against the table, chains against loops. What is
 * wrong makes the queue broken, with the reason in `error`, and from then on it does nothing until it is started anew.
 *
 * The buffers themselves are checked to be RAM, no more: their contents may change under the reader's hands.
 * Not locked: calls on one queue are serialized by its device.
 */
#pragma once

#include "host/types.h"

struct guest_mem;
struct reader;
struct writer;

#define VIRTQUEUE_SIZE_MAX 256
#define VIRTQUEUE_PARTS 256 /* of a chain: longer ones than the queue has entries are forbidden to drivers */

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
    u16 staged;               /* entries written from there on */
    u16 signalled;            /* used_idx when the driver was last asked whether it wants an interrupt */
    const char *error;        /* why the queue is broken; NULL: it is not */
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

/* Forget everything: no areas, not enabled, features kept; `size` entries from now on. */
void virtqueue_reset(struct virtqueue *vq, struct guest_mem *mem, u16 size);

/* Begin with the areas and the size that are set. False: they are not aligned, or not in RAM; the queue is broken. */
bool virtqueue_start(struct virtqueue *vq);

/* Break it for a reason of the device's own. The first reason is kept. */
void virtqueue_fail(struct virtqueue *vq, const char *error);

/* Can it be used: enabled and not broken? */
bool virtqueue_live(const struct virtqueue *vq);

/* Take the next request. False: there is none, or the queue is broken. */
bool virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *chain);

/* Return a request with `len` bytes written to it. The driver learns of it by virtqueue_publish. */
void virtqueue_push(struct virtqueue *vq, u16 head, u32 len);
void virtqueue_publish(struct virtqueue *vq);

/* Forget the last `pops` requests taken, to take them again later, and all returns that were not published. */
void virtqueue_rollback(struct virtqueue *vq, u16 pops);

/* After virtqueue_publish: does the driver want an interrupt for what has been published since the last question? */
bool virtqueue_signal_needed(struct virtqueue *vq);

/*
 * Ask the driver to notify us of new requests, or not to. notify_on returns true if one has come meanwhile, which the
 * driver may have thought that we would find: take it.
 */
bool virtqueue_notify_on(struct virtqueue *vq);
void virtqueue_notify_off(struct virtqueue *vq);

/*
 * Copy `len` bytes from the chain's readable parts, `offset` bytes into them, or to its writable ones. Returns how many
 * there were.
 */
u32 virtqueue_read(struct virtqueue *vq, const struct virtqueue_chain *chain, u32 offset, void *buffer, u32 len);
u32 virtqueue_write(struct virtqueue *vq, const struct virtqueue_chain *chain, u32 offset, const void *buffer, u32 len);

/* State without mem and features, which the transport has. load: 0 or -EINVAL; areas are judged again. */
void virtqueue_save(const struct virtqueue *vq, struct writer *w);
int virtqueue_load(struct virtqueue *vq, struct reader *r);

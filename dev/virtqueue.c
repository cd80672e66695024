/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/virtqueue.h"

#include <errno.h>

#include "dev/codec.h"
#include "host/bits.h"
#include "host/panic.h"
#include "mm/guest_missing.h"

/* Offsets in the rings: flags, idx, then the entries, then used_event or avail_event. */
#define RING_FLAGS 0
#define RING_IDX 2
#define RING_ENTRIES 4

_Static_assert(sizeof(struct virtq_desc) == 16 && sizeof(struct virtq_used_elem) == 8, "virtio 1.2, 2.7.5 and 2.7.8");

static bool size_valid(u16 size)
{
    return size && size <= VIRTQUEUE_SIZE_MAX && !(size & (size - 1));
}

void virtqueue_reset(struct virtqueue *vq, struct guest_mem *mem, u16 size)
{
    assert(size_valid(size));
    *vq = (struct virtqueue){ .mem = mem, .size = size, .event_idx = vq->event_idx, .indirect = vq->indirect };
}

void virtqueue_fail(struct virtqueue *vq, const char *error)
{
    if (!vq->error)
        vq->error = error;
}

static u64 desc_bytes(const struct virtqueue *vq)
{
    return 16ULL * vq->size;
}

static u64 avail_bytes(const struct virtqueue *vq)
{
    return RING_ENTRIES + 2ULL * vq->size + 2;
}

static u64 used_bytes(const struct virtqueue *vq)
{
    return RING_ENTRIES + 8ULL * vq->size + 2;
}

static bool rings_here(struct virtqueue *vq)
{
    int missing = guest_mem_ask(vq->mem, vq->desc, desc_bytes(vq));

    missing |= guest_mem_ask(vq->mem, vq->avail, avail_bytes(vq));
    missing |= guest_mem_ask(vq->mem, vq->used, used_bytes(vq));
    vq->waits |= missing != 0;
    return !missing;
}

bool virtqueue_live(const struct virtqueue *vq)
{
    return vq->enabled && !vq->error;
}

/* May the rings be accessed? */
static bool ready(struct virtqueue *vq)
{
    return virtqueue_live(vq) && (guest_mem_whole(vq->mem) || rings_here(vq));
}

/* Are the three areas aligned and in RAM? RAM never goes away, so no access to valid areas can fail later. */
static bool areas_valid(const struct virtqueue *vq)
{
    return is_aligned(vq->desc, 16) && is_aligned(vq->avail, 2) && is_aligned(vq->used, 4) &&
           guest_mem_valid(vq->mem, vq->desc, desc_bytes(vq)) && guest_mem_valid(vq->mem, vq->avail, avail_bytes(vq)) &&
           guest_mem_valid(vq->mem, vq->used, used_bytes(vq));
}

bool virtqueue_start(struct virtqueue *vq)
{
    vq->enabled = true;
    if (!areas_valid(vq))
        virtqueue_fail(vq, "rings are misaligned or not in RAM");
    return !vq->error;
}

static u16 read16(struct virtqueue *vq, gpa_t gpa)
{
    u16 value = 0;

    if (guest_read(vq->mem, gpa, &value, sizeof(value)))
        virtqueue_fail(vq, "ring is not in RAM");
    return value;
}

static void write16(struct virtqueue *vq, gpa_t gpa, u16 value)
{
    if (guest_write(vq->mem, gpa, &value, sizeof(value)))
        virtqueue_fail(vq, "ring is not in RAM");
}

/* Where the walk of a chain is: in the queue's own table or in an indirect one. */
struct walk {
    gpa_t table;
    u32 table_size, steps;
    bool indirect;
};

/* An indirect descriptor: its table takes the place of the queue's. Returns NULL, or what is wrong. */
static const char *enter_indirect(struct virtqueue *vq, struct walk *walk, const struct virtq_desc *desc)
{
    if (!vq->indirect)
        return "indirect descriptor, which was not negotiated";
    if (walk->indirect)
        return "indirect descriptor in an indirect table";
    if (desc->flags & VIRTQ_DESC_F_NEXT)
        return "indirect descriptor with a successor";
    if (desc->len == 0 || desc->len % sizeof(*desc) || desc->len / sizeof(*desc) > VIRTQUEUE_PARTS)
        return "indirect table of a wrong size";
    if (!guest_mem_valid(vq->mem, desc->addr, desc->len))
        return "indirect table is not in RAM";
    guest_mem_ask(vq->mem, desc->addr, desc->len);
    *walk = (struct walk){ .table = desc->addr, .table_size = desc->len / sizeof(*desc), .indirect = true };
    return NULL;
}

/* Add a buffer to the chain. Returns NULL, or what is wrong. */
static const char *add_part(struct virtqueue *vq, struct virtqueue_chain *chain, const struct virtq_desc *desc)
{
    bool write = desc->flags & VIRTQ_DESC_F_WRITE;
    u32 *total = write ? &chain->write_len : &chain->read_len;

    if (!write && chain->nr_parts > chain->nr_read)
        return "readable buffer after a writable one";
    if (desc->len == 0)
        return "empty buffer";
    if (__builtin_add_overflow(*total, desc->len, total))
        return "request is longer than 4 GiB";
    if (!guest_mem_valid(vq->mem, desc->addr, desc->len))
        return "buffer is not in RAM";
    if (chain->nr_parts == VIRTQUEUE_PARTS)
        return "request has too many buffers";
    u32 before = MIN(*total - desc->len, VIRTQUEUE_REACH);

    vq->waits |= guest_mem_ask(vq->mem, desc->addr, MIN(desc->len, VIRTQUEUE_REACH - before)) != 0;
    chain->part[chain->nr_parts++] = (struct virtqueue_part){ desc->addr, desc->len };
    chain->nr_read += !write;
    return NULL;
}

/* Copy the chain that begins at chain->head, or a part of it if the queue waits. Each table is walked for at most its
 * size, so a loop ends. */
static const char *walk_chain(struct virtqueue *vq, struct virtqueue_chain *chain)
{
    struct walk walk = { .table = vq->desc, .table_size = vq->size };
    const char *error = NULL;
    u32 index = chain->head;

    for (;;) {
        struct virtq_desc desc;

        if (index >= walk.table_size)
            return "descriptor index beyond the table";
        if (walk.steps++ == walk.table_size)
            return "descriptors in a loop";
        int err = guest_read(vq->mem, walk.table + index * sizeof(desc), &desc, sizeof(desc));

        vq->waits |= err == -EAGAIN;
        if (err)
            return err == -EAGAIN ? NULL : "descriptor table is not in RAM";
        if (desc.flags & VIRTQ_DESC_F_INDIRECT) {
            error = enter_indirect(vq, &walk, &desc);
            index = 0;
        } else {
            error = add_part(vq, chain, &desc);
            index = desc.next;
        }
        if (error || !(desc.flags & (VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_INDIRECT)))
            return error;
    }
}

bool virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *chain)
{
    vq->waits = false;
    if (!ready(vq))
        return false;

    u16 waiting = (u16)(read16(vq, vq->avail + RING_IDX) - vq->last_avail);

    if (waiting > vq->size)
        virtqueue_fail(vq, "available index jumped");
    if (waiting == 0 || vq->error)
        return false;
    /* The ring entry and the descriptors were written before the index that we have seen: do not read them earlier. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    chain->head = read16(vq, vq->avail + RING_ENTRIES + 2 * (vq->last_avail % vq->size));
    chain->nr_read = chain->nr_parts = 0;
    chain->read_len = chain->write_len = 0;

    const char *error = walk_chain(vq, chain);

    if (error)
        virtqueue_fail(vq, error);
    if (error || vq->waits)
        return false;
    vq->last_avail++;
    return true;
}

void virtqueue_push(struct virtqueue *vq, u16 head, u32 len)
{
    struct virtq_used_elem elem = { .id = head, .len = len };
    u16 at = (u16)(vq->used_idx + vq->staged++) % vq->size;

    if (guest_write(vq->mem, vq->used + RING_ENTRIES + 8ULL * at, &elem, sizeof(elem)))
        virtqueue_fail(vq, "ring is not in RAM");
}

void virtqueue_publish(struct virtqueue *vq)
{
    if (vq->staged == 0)
        return;
    vq->used_idx += vq->staged;
    vq->staged = 0;
    /* Buffers and ring entries are visible before the index that gives them away. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    write16(vq, vq->used + RING_IDX, vq->used_idx);
}

void virtqueue_rollback(struct virtqueue *vq, u16 pops)
{
    vq->last_avail -= pops;
    vq->staged = 0;
}

bool virtqueue_signal_needed(struct virtqueue *vq)
{
    u16 since = (u16)(vq->used_idx - vq->signalled);

    if (since == 0 || !ready(vq))
        return false;
    vq->signalled = vq->used_idx;
    /* The index is visible before we read the driver's wish: it publishes its wish, then reads the index. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!vq->event_idx)
        return !(read16(vq, vq->avail + RING_FLAGS) & VIRTQ_AVAIL_F_NO_INTERRUPT);

    u16 event = read16(vq, vq->avail + RING_ENTRIES + 2ULL * vq->size);

    /* Did the index pass the event: event in [old, new)? Virtio 1.2, 2.7.10. */
    return (u16)(vq->used_idx - event - 1) < since;
}

bool virtqueue_notify_on(struct virtqueue *vq)
{
    if (!ready(vq) || vq->waits)
        return false;
    if (vq->event_idx)
        write16(vq, vq->used + RING_ENTRIES + 8ULL * vq->size, vq->last_avail);
    else
        write16(vq, vq->used + RING_FLAGS, 0);
    /* Our wish is visible before we read the index: the driver publishes the index, then reads our wish. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return read16(vq, vq->avail + RING_IDX) != vq->last_avail && !vq->error;
}

/* With event indices it is enough to leave ours where it is. */
void virtqueue_notify_off(struct virtqueue *vq)
{
    if (!vq->event_idx && ready(vq))
        write16(vq, vq->used + RING_FLAGS, VIRTQ_USED_F_NO_NOTIFY);
}

/* Copy between a buffer and the parts [first, end), `offset` bytes into them: out of the guest, or into it. They are
 * here, or the request had not been taken. */
static u32 copy_parts(struct virtqueue *vq, const struct virtqueue_part *part, const struct virtqueue_part *end,
                      u32 offset, void *out, const void *in, u32 len)
{
    u32 done = 0;

    for (; part < end && done < len; part++) {
        if (offset >= part->len) {
            offset -= part->len;
            continue;
        }
        u32 step = MIN(part->len - offset, len - done);
        int err = out ? guest_read(vq->mem, part->addr + offset, (u8 *)out + done, step)
                      : guest_write(vq->mem, part->addr + offset, (const u8 *)in + done, step);

        if (err) {
            virtqueue_fail(vq, "buffer is not in RAM");
            break;
        }
        done += step;
        offset = 0;
    }
    return done;
}

u32 virtqueue_read(struct virtqueue *vq, const struct virtqueue_chain *chain, u32 offset, void *buffer, u32 len)
{
    return copy_parts(vq, chain->part, chain->part + chain->nr_read, offset, buffer, NULL, len);
}

u32 virtqueue_write(struct virtqueue *vq, const struct virtqueue_chain *chain, u32 offset, const void *buffer, u32 len)
{
    return copy_parts(vq, chain->part + chain->nr_read, chain->part + chain->nr_parts, offset, NULL, buffer, len);
}

void virtqueue_state(struct virtqueue *vq, struct codec *c)
{
    struct virtqueue state = *vq;
    bool broken = vq->error != NULL;

    codec_bool(c, &state.enabled);
    codec_bool(c, &broken);
    codec_u16(c, &state.size);
    codec_u64(c, &state.desc);
    codec_u64(c, &state.avail);
    codec_u64(c, &state.used);
    codec_u16(c, &state.last_avail);
    codec_u16(c, &state.used_idx);
    codec_u16(c, &state.signalled);
    codec_judge(c, size_valid(state.size), "a queue has a size that is none");
    if (!codec_judge(c, !state.enabled || broken || areas_valid(&state), "the areas of a queue are not in RAM"))
        return;
    state.staged = 0;
    state.error = broken ? "broken before the state was saved" : NULL;
    *vq = state;
}

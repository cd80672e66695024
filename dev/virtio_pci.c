/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "virtio"
#include "dev/virtio_pci.h"

#include <string.h>

#include "dev/codec.h"
#include "host/bits.h"
#include "host/log.h"
#include "host/panic.h"
#include "hv/vm.h"

#define VENDOR 0x1AF4
#define DEVICE_BASE 0x1040

/* BAR 0 holds the registers, a page each; BAR 1 is MSI-X's. */
#define REGISTER_BAR 0
#define MSIX_BAR 1
#define COMMON_OFFSET 0x0000
#define ISR_OFFSET 0x1000
#define DEVICE_OFFSET 0x2000
#define NOTIFY_OFFSET 0x3000
#define REGISTER_SIZE 0x4000
#define NOTIFY_MULTIPLIER 4

/* struct virtio_pci_cap: offsets behind its head. The capabilities of notify and of PCI access have a dword more. */
#define CAP_TYPE 3
#define CAP_BAR 4
#define CAP_OFFSET 8
#define CAP_LENGTH 12
#define CAP_SIZE 16
#define CAP_MORE 16 /* notify_off_multiplier, or pci_cfg_data */

#define FAILURES_LOGGED 32 /* of a device */

#define ISR_QUEUE 1
#define ISR_CONFIG 2

#define TRANSPORT_FEATURES (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)
#define DRIVER_STATUS                                                                                         \
    (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK | \
     VIRTIO_STATUS_FAILED)

static struct virtio *virtio_of(struct pci_function *function)
{
    return (struct virtio *)function;
}

static u64 offered(const struct virtio *virtio)
{
    return virtio->kind->features | TRANSPORT_FEATURES;
}

bool virtio_has(const struct virtio *virtio, u64 feature)
{
    return virtio->features & feature;
}

bool virtio_live(const struct virtio *virtio, unsigned queue)
{
    return (virtio->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) == VIRTIO_STATUS_DRIVER_OK &&
           pci_is_master(&virtio->pci) && virtqueue_live(&virtio->queue[queue]);
}

/* --- Interrupts -------------------------------------------------------------------------------------------- */

static void interrupt(struct virtio *virtio, u16 vector, u8 cause)
{
    assert_held(&virtio->pci.bus->vm->device_lock);
    virtio->interrupts++;
    if (pci_msix_enabled(&virtio->pci)) {
        pci_msix_send(&virtio->pci, vector);
        return;
    }
    virtio->isr |= cause;
    pci_intx(&virtio->pci, true);
}

void virtio_config_changed(struct virtio *virtio)
{
    virtio->generation++;
    if (virtio->status & VIRTIO_STATUS_DRIVER_OK)
        interrupt(virtio, virtio->config_vector, ISR_CONFIG);
}

bool virtio_check(struct virtio *virtio, unsigned queue)
{
    const char *error = virtio->queue[queue].error;

    if (!error || virtio->status & VIRTIO_STATUS_NEEDS_RESET)
        return error != NULL;
    virtio->status |= VIRTIO_STATUS_NEEDS_RESET;
    /* A guest may not fill the log, so only the first failures are logged; the counter goes on. */
    if (virtio->failures++ < FAILURES_LOGGED)
        pr_warn("%s: %s stopped: queue %u: %s", virtio->pci.bus->vm->name, virtio->kind->name, queue, error);
    virtio_config_changed(virtio);
    return true;
}

void virtio_complete(struct virtio *virtio, unsigned queue)
{
    struct virtqueue *vq = &virtio->queue[queue];

    virtqueue_publish(vq);
    if (virtqueue_signal_needed(vq))
        interrupt(virtio, virtio->queue_vector[queue], ISR_QUEUE);
    virtio_check(virtio, queue);
}

/* --- Status ------------------------------------------------------------------------------------------------ */

static void reset(struct pci_function *function)
{
    struct virtio *virtio = virtio_of(function);

    virtio->features = 0;
    virtio->device_feature_select = virtio->driver_feature_select = 0;
    virtio->queue_select = 0;
    virtio->config_vector = VIRTIO_NO_VECTOR;
    virtio->status = virtio->isr = 0;
    virtio->epoch++;
    for (unsigned i = 0; i < virtio->kind->nr_queues; i++) {
        virtqueue_reset(&virtio->queue[i], &function->bus->vm->mem, virtio->kind->queue_size);
        virtio->queue_vector[i] = VIRTIO_NO_VECTOR;
    }
    pci_intx(function, false);
    virtio->kind->reset(virtio);
}

static void features_apply(struct virtio *virtio)
{
    for (unsigned i = 0; i < virtio->kind->nr_queues; i++) {
        virtio->queue[i].event_idx = virtio_has(virtio, VIRTIO_F_EVENT_IDX);
        virtio->queue[i].indirect = virtio_has(virtio, VIRTIO_F_INDIRECT_DESC);
    }
}

/* FEATURES_OK stays clear if the driver accepts features that were not offered or make no sense together, or does not
 * accept VERSION_1. */
static bool features_valid(const struct virtio *virtio)
{
    return !(virtio->features & ~offered(virtio)) && virtio_has(virtio, VIRTIO_F_VERSION_1) &&
           (!virtio->kind->features_valid || virtio->kind->features_valid(virtio->features));
}

static void notify_all(struct virtio *virtio)
{
    for (unsigned i = 0; i < virtio->kind->nr_queues; i++)
        if (virtio_live(virtio, i))
            virtio->kind->notify(virtio, i);
}

/* Virtio 1.2, 2.1: bits are only ever added; 0 resets. */
static void status_write(struct virtio *virtio, u8 value)
{
    u8 added = value & DRIVER_STATUS & ~virtio->status;

    if (value == 0) {
        reset(&virtio->pci);
        return;
    }
    if (added & VIRTIO_STATUS_FEATURES_OK) {
        if (features_valid(virtio))
            features_apply(virtio);
        else
            added &= (u8)~VIRTIO_STATUS_FEATURES_OK;
    }
    if (!((virtio->status | added) & VIRTIO_STATUS_FEATURES_OK))
        added &= (u8)~VIRTIO_STATUS_DRIVER_OK;
    virtio->status |= added;
    if (added & VIRTIO_STATUS_DRIVER_OK)
        notify_all(virtio);
}

/* --- Common configuration ---------------------------------------------------------------------------------- */

/* The half of the features that a select register chooses; there are no more than 64. */
static u32 features_half(u64 features, u32 select)
{
    return select < 2 ? (u32)(features >> (32 * select)) : 0;
}

static void driver_feature_write(struct virtio *virtio, u32 value)
{
    u32 select = virtio->driver_feature_select;

    if (virtio->status & VIRTIO_STATUS_FEATURES_OK)
        return;
    if (select < 2)
        virtio->features = field_set(BITS(31, 0) << (32 * select), virtio->features, value);
}

static u16 vector_checked(const struct virtio *virtio, u64 vector)
{
    return vector < virtio->pci.msix.vectors ? (u16)vector : VIRTIO_NO_VECTOR;
}

/* Read a register of the selected queue, which exists; `offset` is in the common configuration. */
static u64 queue_register_read(const struct virtio *virtio, u64 offset)
{
    const struct virtqueue *vq = &virtio->queue[virtio->queue_select];

    switch (offset) {
    case VIRTIO_QUEUE_SIZE: return vq->size;
    case VIRTIO_QUEUE_VECTOR: return virtio->queue_vector[virtio->queue_select];
    case VIRTIO_QUEUE_ENABLE: return vq->enabled;
    case VIRTIO_QUEUE_NOTIFY_OFF: return virtio->queue_select;
    case VIRTIO_QUEUE_DESC: return vq->desc;
    case VIRTIO_QUEUE_DESC + 4: return vq->desc >> 32;
    case VIRTIO_QUEUE_DRIVER: return vq->avail;
    case VIRTIO_QUEUE_DRIVER + 4: return vq->avail >> 32;
    case VIRTIO_QUEUE_DEVICE: return vq->used;
    case VIRTIO_QUEUE_DEVICE + 4: return vq->used >> 32;
    default: return 0;
    }
}

static u64 common_read(const struct virtio *virtio, u64 offset)
{
    switch (offset) {
    case VIRTIO_DEVICE_FEATURE_SELECT: return virtio->device_feature_select;
    case VIRTIO_DEVICE_FEATURE: return features_half(offered(virtio), virtio->device_feature_select);
    case VIRTIO_DRIVER_FEATURE_SELECT: return virtio->driver_feature_select;
    case VIRTIO_DRIVER_FEATURE: return features_half(virtio->features, virtio->driver_feature_select);
    case VIRTIO_CONFIG_VECTOR: return virtio->config_vector;
    case VIRTIO_NUM_QUEUES: return virtio->kind->nr_queues;
    case VIRTIO_STATUS: return virtio->status;
    case VIRTIO_GENERATION: return virtio->generation;
    case VIRTIO_QUEUE_SELECT: return virtio->queue_select;
    default: return virtio->queue_select < virtio->kind->nr_queues ? queue_register_read(virtio, offset) : 0;
    }
}

/* Write a 64-bit address, or one half of it. */
static void address_write(gpa_t *address, u64 offset, const struct io *io)
{
    if (io->size == 8)
        *address = io->val;
    else
        *address = field_set(offset % 8 ? BITS(63, 32) : BITS(31, 0), *address, io->val);
}

static void queue_enable(struct virtio *virtio, unsigned queue)
{
    if (!(virtio->status & VIRTIO_STATUS_FEATURES_OK))
        return;
    virtqueue_start(&virtio->queue[queue]);
    if (!virtio_check(virtio, queue) && virtio_live(virtio, queue))
        virtio->kind->notify(virtio, queue);
}

/* The registers that describe a queue can't be changed once it is enabled. */
static void queue_register_write(struct virtio *virtio, u64 offset, const struct io *io)
{
    unsigned queue = virtio->queue_select;
    struct virtqueue *vq = &virtio->queue[queue];

    if (offset == VIRTIO_QUEUE_VECTOR) {
        virtio->queue_vector[queue] = vector_checked(virtio, io->val);
        return;
    }
    if (vq->enabled)
        return;
    switch (offset & ~4ULL) {
    case VIRTIO_QUEUE_SIZE:
        if (offset == VIRTIO_QUEUE_ENABLE && io->val == 1)
            queue_enable(virtio, queue);
        else if (offset == VIRTIO_QUEUE_SIZE && io->val && io->val <= virtio->kind->queue_size &&
                 !(io->val & (io->val - 1)))
            vq->size = (u16)io->val;
        break;
    case VIRTIO_QUEUE_DESC: address_write(&vq->desc, offset, io); break;
    case VIRTIO_QUEUE_DRIVER: address_write(&vq->avail, offset, io); break;
    case VIRTIO_QUEUE_DEVICE: address_write(&vq->used, offset, io); break;
    default: break;
    }
}

static void common_write(struct virtio *virtio, u64 offset, const struct io *io)
{
    switch (offset) {
    case VIRTIO_DEVICE_FEATURE_SELECT: virtio->device_feature_select = (u32)io->val; break;
    case VIRTIO_DRIVER_FEATURE_SELECT: virtio->driver_feature_select = (u32)io->val; break;
    case VIRTIO_DRIVER_FEATURE: driver_feature_write(virtio, (u32)io->val); break;
    case VIRTIO_CONFIG_VECTOR: virtio->config_vector = vector_checked(virtio, io->val); break;
    case VIRTIO_STATUS: status_write(virtio, (u8)io->val); break;
    case VIRTIO_QUEUE_SELECT: virtio->queue_select = (u16)io->val; break;
    default:
        if (virtio->queue_select < virtio->kind->nr_queues)
            queue_register_write(virtio, offset, io);
    }
}

static void common_io(struct virtio *virtio, struct io *io)
{
    if (io->write) {
        common_write(virtio, io->off, io);
        return;
    }
    io->val = common_read(virtio, io->off);
    if (io->size == 8)
        io->val |= common_read(virtio, io->off + 4) << 32;
}

/* --- The other structures ---------------------------------------------------------------------------------- */

/* A read of ISR acknowledges INTx. */
static void isr_io(struct virtio *virtio, struct io *io)
{
    if (io->write)
        return;
    io->val = virtio->isr;
    virtio->isr = 0;
    pci_intx(&virtio->pci, false);
}

static void device_io(struct virtio *virtio, u64 offset, struct io *io)
{
    if (io->write)
        return;
    io->val = 0;
    if (offset + io->size <= virtio->kind->config_size)
        memcpy(&io->val, &virtio->config[offset], io->size);
}

static void notify_io(struct virtio *virtio, u64 offset, const struct io *io)
{
    u64 queue = offset / NOTIFY_MULTIPLIER;

    if (!io->write || queue >= virtio->kind->nr_queues)
        return;
    virtio->notifications++;
    if (virtio_live(virtio, (unsigned)queue))
        virtio->kind->notify(virtio, (unsigned)queue);
}

static void bar_io(struct pci_function *function, unsigned bar, struct io *io)
{
    struct virtio *virtio = virtio_of(function);

    (void)bar;
    switch (io->off & PAGE_MASK) {
    case COMMON_OFFSET: common_io(virtio, io); break;
    case ISR_OFFSET: isr_io(virtio, io); break;
    case DEVICE_OFFSET: device_io(virtio, io->off - DEVICE_OFFSET, io); break;
    default: notify_io(virtio, io->off - NOTIFY_OFFSET, io); break;
    }
}

/*
 * The PCI configuration access capability (virtio 1.2, 4.1.4.9): a window to the BARs for drivers that cannot map them.
 * Its fields name the place; data moves when pci_cfg_data is accessed. The access has the size in `length`.
 */
static void config_access(struct pci_function *function, unsigned offset, unsigned size, bool write)
{
    struct virtio *virtio = virtio_of(function);
    unsigned cap = virtio->cfg_cap, data = cap + CAP_MORE;
    u32 length = pci_config_get(function, cap + CAP_LENGTH, 4);
    u32 at = pci_config_get(function, cap + CAP_OFFSET, 4);
    struct io io = { .off = at, .size = (u8)length, .write = write };

    if (write && offset == PCI_COMMAND)
        notify_all(virtio); /* the device may just have become a bus master */
    if (offset < data || offset + size > data + 4 || function->config[cap + CAP_BAR] != REGISTER_BAR)
        return;
    if ((length != 1 && length != 2 && length != 4) || !is_aligned(at, length) || at >= REGISTER_SIZE)
        return;
    if (write)
        io.val = pci_config_get(function, data, length);
    bar_io(function, REGISTER_BAR, &io);
    if (!write)
        pci_config_set(function, data, length, (u32)io.val);
}

/* --- Saved state ------------------------------------------------------------------------------------------- */

static void queues_state(struct virtio *virtio, struct codec *c)
{
    for (unsigned i = 0; i < virtio->kind->nr_queues; i++) {
        codec_u16(c, &virtio->queue_vector[i]);
        virtqueue_state(&virtio->queue[i], c);
        if (codec_judge(c, virtio->queue[i].size <= virtio->kind->queue_size, "a queue is longer than here"))
            virtio->queue_vector[i] = vector_checked(virtio, virtio->queue_vector[i]);
    }
}

static void state(struct pci_function *function, struct codec *c)
{
    struct virtio *virtio = virtio_of(function);
    u16 id = virtio->kind->id;

    if (c->restoring)
        reset(function);
    codec_u16(c, &id);
    codec_judge(c, id == virtio->kind->id, "another kind of device");
    codec_u64(c, &virtio->features);
    codec_u32(c, &virtio->device_feature_select);
    codec_u32(c, &virtio->driver_feature_select);
    codec_u16(c, &virtio->queue_select);
    codec_u16(c, &virtio->config_vector);
    codec_u8(c, &virtio->status);
    codec_u8(c, &virtio->isr);
    codec_u8(c, &virtio->generation);
    codec_bytes(c, virtio->config, virtio->kind->config_size);
    /* The device can't provide features that it does not offer: a state with such features is refused. */
    if (codec_judge(c, !(virtio->status & VIRTIO_STATUS_FEATURES_OK) || features_valid(virtio),
                    "features that are not offered here")) {
        virtio->config_vector = vector_checked(virtio, virtio->config_vector);
        features_apply(virtio);
    }
    queues_state(virtio, c);
    codec_version(c, virtio->kind->version);
    virtio->kind->state(virtio, c);
    if (!codec_restored(c))
        return;
    function->intx = virtio->isr != 0;
    /* Requests may have come in while nobody looked. */
    notify_all(virtio);
}

static const struct pci_ops ops = {
    .name = "virtio",
    .version = 1,
    .bar_io = bar_io,
    .config_access = config_access,
    .reset = reset,
    .state = state,
};

static unsigned add_capability(struct virtio *virtio, enum virtio_cap type, u32 offset, u32 length, unsigned more)
{
    struct pci_function *function = &virtio->pci;
    unsigned at = pci_add_capability(function, PCI_CAP_VENDOR, CAP_SIZE + more);

    pci_config_set(function, at + 2, 1, CAP_SIZE + more);
    pci_config_set(function, at + CAP_TYPE, 1, type);
    pci_config_set(function, at + CAP_BAR, 1, REGISTER_BAR);
    pci_config_set(function, at + CAP_OFFSET, 4, offset);
    pci_config_set(function, at + CAP_LENGTH, 4, length);
    return at;
}

static void add_capabilities(struct virtio *virtio)
{
    struct pci_function *function = &virtio->pci;
    unsigned at;

    add_capability(virtio, VIRTIO_CAP_COMMON, COMMON_OFFSET, VIRTIO_COMMON_SIZE, 0);
    add_capability(virtio, VIRTIO_CAP_ISR, ISR_OFFSET, 1, 0);
    if (virtio->kind->config_size)
        add_capability(virtio, VIRTIO_CAP_DEVICE, DEVICE_OFFSET, virtio->kind->config_size, 0);
    at = add_capability(virtio, VIRTIO_CAP_NOTIFY, NOTIFY_OFFSET, NOTIFY_MULTIPLIER * virtio->kind->nr_queues, 4);
    pci_config_set(function, at + CAP_MORE, 4, NOTIFY_MULTIPLIER);
    at = add_capability(virtio, VIRTIO_CAP_PCI, 0, 0, 4);
    virtio->cfg_cap = at;
    function->writable[at + CAP_BAR] = 0xFF;
    memset(&function->writable[at + CAP_OFFSET], 0xFF, 4 + 4 + 4); /* offset, length, data */
}

void virtio_init(struct virtio *virtio, const struct virtio_kind *kind, struct pci_bus *bus, unsigned slot)
{
    assert(kind->nr_queues <= VIRTIO_QUEUES_MAX && kind->config_size <= VIRTIO_CONFIG_MAX);
    pci_function_init(&virtio->pci, &ops, VENDOR, DEVICE_BASE + kind->id, kind->class_code);
    pci_config_set(&virtio->pci, PCI_REVISION, 1, 1);
    pci_config_set(&virtio->pci, PCI_SUBSYSTEM_VENDOR_ID, 2, VENDOR);
    pci_config_set(&virtio->pci, PCI_SUBSYSTEM_ID, 2, 0x40 + kind->id);
    virtio->kind = kind;
    pci_add_bar(&virtio->pci, REGISTER_BAR, REGISTER_SIZE);
    pci_add_msix(&virtio->pci, MSIX_BAR, kind->nr_queues + 1);
    add_capabilities(virtio);
    pci_bus_add(bus, slot, &virtio->pci);
    reset(&virtio->pci);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/virtio_pci.c dev/virtqueue.c dev/pci.c dev/pci_msix.c hv/bus.c dev/codec.c */
/* sources: mm/guest_mem.c mm/guest_missing.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c */
/* sources: tests/unit/ram.c tests/unit/virtio_rig.c tests/unit/stubs.c */
/* libs: -lcmocka */
/*
 * libFuzzer entry for a driver's registers: configuration space, BARs wherever they are put, common configuration,
 * MSI-X and doorbells, in any order and size, and interrupts of the device. Features are only agreed as offered, a
 * queue is only enabled where its rings are RAM, the pin is high as long as there is a cause and nothing silences it,
 * and what was saved is restored again, whatever the driver did before.
 */
#include "tests/fuzz/fuzz.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/irq.h"
#include "dev/codec.h"
#include "tests/unit/virtio_rig.h"

#define SLOT 3
#define FEATURES (BIT(5) | BIT(40))

static struct virtio device;

static void notify(struct virtio *virtio, unsigned queue)
{
    REQUIRE(virtio == &device && queue < 2);
}

static void reset(struct virtio *virtio)
{
    (void)virtio;
}

static void state(struct virtio *virtio, struct codec *c)
{
    u32 own = 0xABCD;

    (void)virtio;
    codec_u32(c, &own);
    codec_judge(c, own == 0xABCD, "the device's own");
}

static bool features_valid(u64 features)
{
    return !(features & BIT(40)) || features & BIT(5);
}

static const struct virtio_kind kind = {
    .name = "test device",
    .id = 9,
    .class_code = 0xFF0000,
    .features = FEATURES,
    .nr_queues = 2,
    .queue_size = 64,
    .config_size = 8,
    .version = 1,
    .features_valid = features_valid,
    .notify = notify,
    .reset = reset,
    .state = state,
};

static void check_pin(void)
{
    bool disabled = rig_config_read(SLOT, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
    bool status = rig_config_read(SLOT, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;

    REQUIRE(status == (device.isr != 0));
    REQUIRE(rig.line[IRQ_PCI + SLOT % 4] == (device.isr && !disabled && !pci_msix_enabled(&device.pci)));
}

static void check(void)
{
    check_pin();
    if (device.status & VIRTIO_STATUS_FEATURES_OK)
        REQUIRE(device.features & VIRTIO_F_VERSION_1 && !(device.features & ~(FEATURES | VIRTIO_F_VERSION_1)) &&
                features_valid(device.features));
}

static void act(struct fuzz *fuzz)
{
    u8 what = fuzz_u8(fuzz);
    unsigned size = 1U << (what >> 4 & 3);
    u64 bar = rig_bar(SLOT, what >> 6 & 1);

    switch (what & 7) {
    case 0: rig_config_write(SLOT, fuzz_u8(fuzz), size & 7 ? size : 4, (u32)fuzz_number(fuzz, 4)); break;
    case 1: rig_config_read(SLOT, fuzz_u8(fuzz), size & 7 ? size : 4); break;
    case 2: rig_mmio_write(bar + fuzz_u8(fuzz) % 64, size, fuzz_number(fuzz, size)); break;
    case 3: rig_mmio_write(bar + fuzz_number(fuzz, 2) % 0x4000, size, fuzz_number(fuzz, size)); break;
    case 4: rig_mmio_read(bar + fuzz_number(fuzz, 2) % 0x4000, size); break;
    case 5: rig_switch_on(SLOT); break;
    case 6: rig_negotiate(SLOT, VIRTIO_F_VERSION_1 | (fuzz_u8(fuzz) & 1 ? FEATURES : 0)); break;
    default:
        rig_common_write(SLOT, VIRTIO_STATUS, 1, fuzz_u8(fuzz));
        virtio_config_changed(&device);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static bool ready;
    struct fuzz fuzz = { data, size };

    if (!ready) {
        rig_setup(NULL);
        virtio_init(&device, &kind, &rig.pci, SLOT);
        ready = true;
    }
    rig.pci.device.ops->reset(&rig.pci.device);
    rig_switch_on(SLOT);
    while (fuzz.size) {
        act(&fuzz);
        check();
    }
    if (size % 8 == 0) {
        rig_save_and_restore();
        check();
    }
    return 0;
}

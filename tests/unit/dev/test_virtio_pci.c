/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtio transport: what a driver finds, negotiates and may do when. */
/* sources: dev/virtio_pci.c dev/virtqueue.c dev/pci.c dev/pci_msix.c hv/bus.c dev/codec.c */
/* sources: mm/guest_mem.c mm/guest_missing.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c */
/* sources: tests/unit/ram.c tests/unit/virtio_rig.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/irq.h"
#include "host/bits.h"
#include "dev/codec.h"
#include "tests/unit/virtio_rig.h"

#define SLOT 3
#define FEATURE_A BIT(5)
#define FEATURE_B BIT(40)
#define LINE (IRQ_PCI + SLOT % 4)

static struct virtio device;
static unsigned notified[2], resets;

static void notify(struct virtio *virtio, unsigned queue)
{
    assert_ptr_equal(virtio, &device);
    notified[queue]++;
}

static void reset(struct virtio *virtio)
{
    (void)virtio;
    resets++;
}

static void state(struct virtio *virtio, struct codec *c)
{
    u32 own = 0xABCD;

    (void)virtio;
    codec_u32(c, &own);
    codec_judge(c, own == 0xABCD, "the device's own");
}

/* B makes no sense without A. */
static bool features_valid(u64 features)
{
    return !(features & FEATURE_B) || features & FEATURE_A;
}

static const struct virtio_kind kind = {
    .name = "test device",
    .id = 9,
    .class_code = 0xFF0000,
    .features = FEATURE_A | FEATURE_B,
    .nr_queues = 2,
    .queue_size = 64,
    .config_size = 8,
    .version = 1,
    .features_valid = features_valid,
    .notify = notify,
    .reset = reset,
    .state = state,
};

static int setup(void **state)
{
    rig_setup(state);
    memset(&device, 0, sizeof(device));
    memset(notified, 0, sizeof(notified));
    memcpy(device.config, "12345678", 8);
    virtio_init(&device, &kind, &rig.pci, SLOT);
    rig_switch_on(SLOT);
    return 0;
}

/* Offset of the capability of that type in configuration space. */
static unsigned capability(u8 type)
{
    for (unsigned at = rig_config_read(SLOT, PCI_CAPABILITIES, 1); at; at = rig_config_read(SLOT, at + 1, 1))
        if (rig_config_read(SLOT, at, 1) == PCI_CAP_VENDOR && rig_config_read(SLOT, at + 3, 1) == type)
            return at;
    fail_msg("no capability of type %u", type);
    return 0;
}

static void test_a_driver_finds_everything(void **unused)
{
    (void)unused;
    assert_int_equal(rig_config_read(SLOT, PCI_VENDOR_ID, 4), 0x10491AF4);
    assert_int_equal(rig_config_read(SLOT, PCI_REVISION, 1), 1);
    for (u8 type = VIRTIO_CAP_COMMON; type <= VIRTIO_CAP_PCI; type++)
        assert_true(rig_config_read(SLOT, capability(type) + 2, 1) >= 16);
    assert_int_equal(rig_config_read(SLOT, capability(VIRTIO_CAP_DEVICE) + 12, 4), 8);
    assert_int_equal(rig_config_read(SLOT, capability(VIRTIO_CAP_NOTIFY) + 16, 4), 4);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_NUM_QUEUES, 2), 2);
    assert_int_equal(rig_mmio_read(rig_bar(SLOT, 0) + 0x2001, 1), '2');
    assert_int_equal(rig_mmio_read(rig_bar(SLOT, 0) + 0x2006, 4), 0); /* beyond its end */
}

static void test_features(void **unused)
{
    (void)unused;
    rig_common_write(SLOT, VIRTIO_DEVICE_FEATURE_SELECT, 4, 1);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_DEVICE_FEATURE, 4), (FEATURE_B | VIRTIO_F_VERSION_1) >> 32);
    rig_common_write(SLOT, VIRTIO_DEVICE_FEATURE_SELECT, 4, 2);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_DEVICE_FEATURE, 4), 0);
    assert_false(rig_negotiate(SLOT, FEATURE_A));                      /* not version 1 */
    assert_false(rig_negotiate(SLOT, VIRTIO_F_VERSION_1 | BIT(6)));    /* not offered */
    assert_false(rig_negotiate(SLOT, VIRTIO_F_VERSION_1 | BIT(33)));   /* nor that */
    assert_false(rig_negotiate(SLOT, VIRTIO_F_VERSION_1 | FEATURE_B)); /* not together */
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1 | FEATURE_A | FEATURE_B));
    assert_true(virtio_has(&device, FEATURE_B));
    /* Once agreed, they stay. */
    rig_common_write(SLOT, VIRTIO_DRIVER_FEATURE, 4, 0);
    assert_true(virtio_has(&device, FEATURE_B) && virtio_has(&device, VIRTIO_F_VERSION_1));
    rig_common_write(SLOT, VIRTIO_STATUS, 1, 0);
    assert_int_equal(device.features, 0);
}

static void test_status_is_a_ratchet(void **unused)
{
    (void)unused;
    rig_common_write(SLOT, VIRTIO_STATUS, 1, 3 | VIRTIO_STATUS_DRIVER_OK);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_STATUS, 1), 3); /* no DRIVER_OK without FEATURES_OK */
    rig_common_write(SLOT, VIRTIO_STATUS, 1, 1);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_STATUS, 1), 3); /* nothing is taken back */
    rig_common_write(SLOT, VIRTIO_STATUS, 1, 3 | VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_STATUS, 1), 3); /* ours alone */
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1));
    assert_false(virtio_live(&device, 0));
    rig_start(SLOT, 1);
    assert_true(virtio_live(&device, 0));
    assert_false(virtio_live(&device, 1));
    assert_int_equal(notified[0], 1); /* what was there before DRIVER_OK is not forgotten */
    assert_int_equal(notified[1], 0);
    resets = 0;
    rig_common_write(SLOT, VIRTIO_STATUS, 1, 0);
    assert_int_equal(resets, 1);
    assert_false(virtio_live(&device, 0));
    assert_int_equal(rig_common_read(SLOT, VIRTIO_QUEUE_SIZE, 2), 64);
}

static void test_queue_registers(void **unused)
{
    (void)unused;
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1));
    rig_common_write(SLOT, VIRTIO_QUEUE_SELECT, 2, 2);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_QUEUE_SIZE, 2), 0); /* no such queue */
    rig_common_write(SLOT, VIRTIO_QUEUE_ENABLE, 2, 1);
    rig_common_write(SLOT, VIRTIO_QUEUE_SELECT, 2, 1);
    for (unsigned i = 0; i < 4; i++) {
        static const u16 wrong[] = { 0, 3, 128, 0x8000 };

        rig_common_write(SLOT, VIRTIO_QUEUE_SIZE, 2, wrong[i]);
        assert_int_equal(rig_common_read(SLOT, VIRTIO_QUEUE_SIZE, 2), 64);
    }
    rig_common_write(SLOT, VIRTIO_QUEUE_VECTOR, 2, 3); /* there are three: 0, 1, 2 */
    assert_int_equal(rig_common_read(SLOT, VIRTIO_QUEUE_VECTOR, 2), VIRTIO_NO_VECTOR);
    rig_common_write(SLOT, VIRTIO_QUEUE_DESC + 4, 4, 0x12345678);
    rig_common_write(SLOT, VIRTIO_QUEUE_DESC, 4, 0x9ABCDEF0);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_QUEUE_DESC, 8), 0x123456789ABCDEF0);
    rig_start(SLOT, 2);
    rig_common_write(SLOT, VIRTIO_QUEUE_DESC, 4, 0); /* enabled: not any more */
    rig_common_write(SLOT, VIRTIO_QUEUE_SIZE, 2, 2);
    assert_int_equal(device.queue[1].desc, rig_desc(1));
    assert_int_equal(device.queue[1].size, RIG_QUEUE);
}

static void test_notifications_only_when_live(void **unused)
{
    u64 doorbell = rig_bar(SLOT, 0) + 0x3000;

    (void)unused;
    rig_mmio_write(doorbell, 2, 0);
    assert_int_equal(notified[0], 0);
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1));
    rig_start(SLOT, 2);
    memset(notified, 0, sizeof(notified));
    rig_mmio_write(doorbell + 4, 2, 1);
    rig_mmio_write(doorbell + 8, 2, 2);
    rig_mmio_write(doorbell + 0xFFC, 4, 1023);
    assert_int_equal(notified[0], 0);
    assert_int_equal(notified[1], 1);
    /* Who may not access memory has no queues; when it may again, it looks. */
    rig_config_write(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    rig_mmio_write(doorbell, 2, 0);
    assert_int_equal(notified[0], 0);
    rig_switch_on(SLOT);
    assert_int_equal(notified[0], 1);
}

static void complete_one(void)
{
    virtqueue_push(&device.queue[1], 0, 0);
    virtio_complete(&device, 1);
}

static void test_interrupts_by_line(void **unused)
{
    (void)unused;
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1));
    rig_start(SLOT, 2);
    complete_one();
    assert_true(rig.line[LINE]);
    virtio_config_changed(&device);
    assert_int_equal(rig_mmio_read(rig_bar(SLOT, 0) + 0x1000, 1), 3);
    assert_false(rig.line[LINE]);
    assert_int_equal(rig_mmio_read(rig_bar(SLOT, 0) + 0x1000, 1), 0);
}

static void messages_on(void)
{
    for (unsigned i = 0; i < 3; i++) {
        rig_mmio_write(rig_bar(SLOT, 1) + 16 * i, 8, 0xFEE00000);
        rig_mmio_write(rig_bar(SLOT, 1) + 16 * i + 8, 8, 0x40 + i);
    }
    rig_config_write(SLOT, device.pci.msix.capability + MSIX_CONTROL, 2, MSIX_CONTROL_ENABLE);
}

static void test_interrupts_by_message(void **unused)
{
    u8 generation = device.generation;

    (void)unused;
    messages_on();
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1));
    rig_common_write(SLOT, VIRTIO_CONFIG_VECTOR, 2, 2);
    rig_start(SLOT, 2);
    complete_one();
    assert_int_equal(rig.messages, 1);
    assert_int_equal(rig.message_data, 0x41);
    virtio_config_changed(&device);
    assert_int_equal(rig.messages, 2);
    assert_int_equal(rig.message_data, 0x42);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_GENERATION, 1), (u8)(generation + 1));
    assert_false(rig.line[LINE]);
    assert_int_equal(rig_mmio_read(rig_bar(SLOT, 0) + 0x1000, 1), 0);
}

static void test_a_broken_queue_stops_the_device_until_reset(void **unused)
{
    (void)unused;
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1));
    rig_start(SLOT, 2);
    virtqueue_fail(&device.queue[0], "test");
    assert_true(virtio_check(&device, 0));
    assert_true(virtio_check(&device, 0));
    assert_int_equal(device.failures, 1);
    assert_true(rig_common_read(SLOT, VIRTIO_STATUS, 1) & VIRTIO_STATUS_NEEDS_RESET);
    assert_true(rig.line[LINE]); /* a configuration change */
    assert_false(virtio_live(&device, 1));
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1));
    rig_start(SLOT, 2);
    assert_true(virtio_live(&device, 0) && virtio_live(&device, 1));
}

static void test_rings_outside_of_ram_stop_the_device(void **unused)
{
    (void)unused;
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1));
    rig_common_write(SLOT, VIRTIO_QUEUE_DESC, 8, RIG_RAM);
    rig_common_write(SLOT, VIRTIO_QUEUE_ENABLE, 2, 1);
    assert_true(rig_common_read(SLOT, VIRTIO_STATUS, 1) & VIRTIO_STATUS_NEEDS_RESET);
}

/* The window in configuration space reaches the same registers. */
static void test_access_through_configuration_space(void **unused)
{
    unsigned cap = capability(VIRTIO_CAP_PCI);

    (void)unused;
    rig_config_write(SLOT, cap + 8, 4, VIRTIO_NUM_QUEUES);
    rig_config_write(SLOT, cap + 12, 4, 2);
    assert_int_equal(rig_config_read(SLOT, cap + 16, 2), 2);
    rig_config_write(SLOT, cap + 8, 4, VIRTIO_STATUS);
    rig_config_write(SLOT, cap + 12, 4, 1);
    rig_config_write(SLOT, cap + 16, 1, 1);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_STATUS, 1), 1);
    rig_config_write(SLOT, cap + 8, 4, 0xFFFFFFFC); /* nowhere, of a strange size, another BAR: nothing happens */
    rig_config_write(SLOT, cap + 16, 1, 0);
    rig_config_write(SLOT, cap + 8, 4, VIRTIO_STATUS);
    rig_config_write(SLOT, cap + 12, 4, 3);
    rig_config_write(SLOT, cap + 16, 4, 0);
    rig_config_write(SLOT, cap + 12, 4, 1);
    rig_config_write(SLOT, cap + 4, 1, 5);
    rig_config_write(SLOT, cap + 16, 4, 0);
    assert_int_equal(rig_common_read(SLOT, VIRTIO_STATUS, 1), 1);
}

static void test_state_survives_save_and_restore(void **unused)
{
    struct virtio before;

    (void)unused;
    messages_on();
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | FEATURE_A));
    rig_common_write(SLOT, VIRTIO_CONFIG_VECTOR, 2, 2);
    rig_start(SLOT, 2);
    complete_one();
    virtio_config_changed(&device);
    before = device;
    memset(notified, 0, sizeof(notified));
    assert_int_equal(rig_save_and_restore(), 0);
    assert_int_equal(device.features, before.features);
    assert_int_equal(device.status, before.status);
    assert_int_equal(device.generation, before.generation);
    assert_int_equal(device.config_vector, 2);
    assert_memory_equal(device.queue, before.queue, sizeof(before.queue));
    assert_memory_equal(device.queue_vector, before.queue_vector, sizeof(before.queue_vector));
    assert_memory_equal(device.pci.config, before.pci.config, sizeof(before.pci.config));
    assert_true(notified[0] >= 1 && notified[1] >= 1);           /* it looks for what came meanwhile */
    rig_write(rig_avail(1) + 4 + 2 * RIG_QUEUE, &(u16){ 1 }, 2); /* used_event: the next one, please */
    rig.messages = 0;
    complete_one();
    assert_int_equal(rig.messages, 1);
}

/* A pending INTx is still there after the move. */
static void test_pending_line_survives(void **unused)
{
    (void)unused;
    assert_true(rig_negotiate(SLOT, VIRTIO_F_VERSION_1));
    rig_start(SLOT, 2);
    complete_one();
    assert_int_equal(rig_save_and_restore(), 0);
    assert_true(rig.line[LINE]);
    assert_int_equal(rig_mmio_read(rig_bar(SLOT, 0) + 0x1000, 1), 1);
    assert_false(rig.line[LINE]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, rig_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_driver_finds_everything),
        TEST(test_features),
        TEST(test_status_is_a_ratchet),
        TEST(test_queue_registers),
        TEST(test_notifications_only_when_live),
        TEST(test_interrupts_by_line),
        TEST(test_interrupts_by_message),
        TEST(test_a_broken_queue_stops_the_device_until_reset),
        TEST(test_rings_outside_of_ram_stop_the_device),
        TEST(test_access_through_configuration_space),
        TEST(test_state_survives_save_and_restore),
        TEST(test_pending_line_survives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/net_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

const u8 net_mac[MAC_LEN] = { 0x52, 0x54, 0, 1, 2, 3 };
struct virtio_net net;
u8 frame_bytes[FRAME_MAX];

int net_setup(void **state)
{
    rig_setup(state);
    memset(&net, 0, sizeof(net));
    for (u32 i = 0; i < sizeof(frame_bytes); i++)
        frame_bytes[i] = (u8)(i * 13 + (i >> 8));
    memset(frame_bytes, 0xFF, MAC_LEN); /* broadcast */
    virtio_net_init(&net, &rig.vm, &rig.pci, SLOT, net_mac);
    rig_switch_on(SLOT);
    return 0;
}

int net_teardown(void **state)
{
    virtio_net_fini(&net);
    return rig_teardown(state);
}

void net_start(u64 features)
{
    assert_true(rig_negotiate(SLOT, features));
    rig_start(SLOT, 3);
    virtio_net_poll();
}

void net_send(const struct virtio_net_hdr *hdr, u32 len)
{
    rig_write(BUFFER(0), hdr, HDR);
    rig_write(BUFFER(0) + HDR, frame_bytes, len);
    rig_set_desc(VIRTIO_NET_TX, 0, BUFFER(0), HDR + len, 0, 0);
    rig_offer(SLOT, VIRTIO_NET_TX, 0);
    virtio_net_poll();
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/switch_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/clock.h"
#include "net/ethernet.h"
#include "net/switch.h"

u64 switch_now;
struct recorder uplink, a, b;
const u8 mac_a[MAC_LEN] = { 2, 0, 0, 0, 0, 0xA }, mac_b[MAC_LEN] = { 2, 0, 0, 0, 0, 0xB };
const u8 out1[MAC_LEN] = { 2, 1, 0, 0, 0, 1 }, out2[MAC_LEN] = { 2, 1, 0, 0, 0, 2 };
const u8 broadcast[MAC_LEN] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF }, group[MAC_LEN] = { 0x33, 0x33, 0, 0, 0, 1 };

u64 clock_ns(void)
{
    return switch_now;
}

static bool record(struct port *port, const struct frame *frame)
{
    struct recorder *r = (struct recorder *)port;

    if (r->full)
        return false;
    if (r->frames < KEPT)
        frame_read(frame, 0, r->kept[r->frames], frame->len < 100 ? frame->len : 100);
    r->frames++;
    r->last_len = frame->len;
    r->last_offload = frame->offload;
    frame_read(frame, 0, r->last, frame->len < sizeof(r->last) ? frame->len : sizeof(r->last));
    return true;
}

void switch_join(struct recorder *r, const char *name, const u8 *mac)
{
    memset(r, 0, sizeof(*r));
    strcpy(r->port.name, name);
    if (mac)
        memcpy(r->port.mac, mac, 6);
    r->port.deliver = record;
    switch_add(&r->port);
}

int switch_start(void **state)
{
    (void)state;
    switch_now += 1000 * SECOND; /* whatever an earlier test taught is forgotten */
    switch_configure(&(struct switch_settings){ 0 });
    switch_join(&uplink, "uplink", NULL);
    switch_join(&a, "a", mac_a);
    switch_join(&b, "b", mac_b);
    return 0;
}

int switch_end(void **state)
{
    (void)state;
    switch_remove(&uplink.port);
    switch_remove(&a.port);
    switch_remove(&b.port);
    assert_null(switch_ports());
    return 0;
}

void switch_send(struct recorder *from, const u8 *to, const u8 *source)
{
    u8 bytes[60] = { [12] = 0x88, [13] = 0xB5 };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    memcpy(bytes, to, 6);
    memcpy(bytes + 6, source, 6);
    uplink.frames = a.frames = b.frames = 0;
    headers_parse(&frame);
    switch_input(&from->port, &frame);
}

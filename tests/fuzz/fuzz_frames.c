/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: net/switch.c net/hold.c net/heard.c net/snoop.c net/announce.c net/offload.c net/ethernet.c net/csum.c */
/* sources: net/headers.c net/mac.c stream/record.c stream/crc32c.c dev/codec.c tests/unit/stubs.c */
/* libs: -lcmocka */
/*
 * libFuzzer entry for frames through the switch, with what it snoops, announces and holds, and for the claims of other
 * hypervisors among them: an uplink, our own port and two guests say whatever they like. Each frame of an open port is
 * counted once, none comes back or reaches a port that is closed, and no guest hears or says what hypervisors say.
 */
#include "tests/fuzz/fuzz.h"

#include "host/clock.h"
#include "stream/record.h"
#include "net/announce.h"
#include "net/ethernet.h"
#include "net/hold.h"
#include "net/switch.h"

#define PORTS 4
#define PIECES 4

enum { UPLINK, OURS, GUEST_A, GUEST_B };

struct end {
    struct port port;
    unsigned delivered;
};

static struct end ends[PORTS];
static struct port *from; /* of the frame that is under way; NULL: what was held is delivered, or announced */
static u64 now;

u64 clock_ns(void)
{
    return now;
}

/* What travels with the frame is what its bytes say, checksums that neighbours' packets have got apart. */
static void headers_are_true(const struct frame *frame)
{
    struct frame again = *frame;

    headers_parse(&again);
    again.headers.neighbour = frame->headers.neighbour;
    REQUIRE(memcmp(&again.headers, &frame->headers, offsetof(struct headers, said)) == 0);
}

static bool deliver(struct port *port, const struct frame *frame)
{
    u8 bytes[2048];
    const struct headers *headers = &frame->headers;
    u32 len = 0;

    REQUIRE(port != from && !(from && port->closed) && frame->nr_parts <= FRAME_PARTS + 1);
    for (unsigned i = 0; i < frame->nr_parts; i++)
        len += frame->part[i].len;
    REQUIRE(len == frame->len && headers->valid && headers->l3 <= len);
    headers_are_true(frame);
    REQUIRE(port->offload_tso || frame->offload.gso_type == OFFLOAD_GSO_NONE);
    REQUIRE(port->offload_csum || !(frame->offload.flags & OFFLOAD_NEEDS_CSUM));
    if (headers->type == ETH_TYPE_PEERS) {
        struct wire_claim claim;

        REQUIRE(port->peers && (!from || from->peers));
        REQUIRE(frame_read(frame, 0, bytes, MIN(len, (u32)sizeof(bytes))));
        if (len <= sizeof(bytes))
            claim_read(&claim, bytes + headers->l3, len - headers->l3);
    }
    ends[(struct end *)port - ends].delivered++;
    return true;
}

static void join(unsigned index, const char *name, bool peers)
{
    struct end *end = &ends[index];

    memset(end, 0, sizeof(*end));
    strcpy(end->port.name, name);
    if (index != UPLINK)
        memcpy(end->port.mac, (u8[]){ 2, 0, 0, 0, 0, (u8)index }, MAC_LEN);
    end->port.peers = peers;
    end->port.offload_csum = end->port.offload_tso = index & 1;
    end->port.deliver = deliver;
    switch_add(&end->port);
}

/* A destination or source: a port's own, a group's, or any. */
static void address(struct fuzz *fuzz, u8 *mac)
{
    u8 kind = fuzz_u8(fuzz);

    if (kind < 8)
        memcpy(mac, (u8[]){ 2, 0, 0, 0, 0, kind & 3 }, MAC_LEN);
    else if (kind < 16)
        memset(mac, 0xFF, MAC_LEN);
    else
        fuzz_bytes(fuzz, mac, MAC_LEN);
}

static void offload(struct fuzz *fuzz, struct frame_offload *offload)
{
    u8 kind = fuzz_u8(fuzz);

    if (kind & 3)
        return;
    *offload = (struct frame_offload){ .flags = kind >> 2 & 3,
                                       .gso_type = (u8[]){ 0, 1, 4, 0 }[kind >> 4 & 3],
                                       .header_len = fuzz_u8(fuzz),
                                       .gso_size = (u16)fuzz_number(fuzz, 2),
                                       .csum_start = fuzz_u8(fuzz),
                                       .csum_offset = fuzz_u8(fuzz) };
    if (offload->gso_type)
        offload->flags |= OFFLOAD_NEEDS_CSUM;
}

static u64 decisions(void)
{
    const struct switch_counters *c = switch_counters();

    return c->forwarded + c->flooded + c->unforwarded + c->storm_dropped + c->spoof_dropped + c->malformed;
}

/* A frame of up to four pieces, each of exactly its size, for the sanitizer. */
static void say(struct fuzz *fuzz, struct end *end)
{
    static const u16 types[] = { 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8, 0x88B6, 0x8035, 0x0004 };
    u32 len = MIN((u32)fuzz_number(fuzz, 2) % 4096, (u32)fuzz->size + 64);
    u8 bytes[4096 + 64], *piece[PIECES] = { NULL };
    struct frame frame = { .nr_parts = 1 + fuzz_u8(fuzz) % PIECES, .len = len };
    u64 before = decisions();

    address(fuzz, bytes);
    address(fuzz, bytes + MAC_LEN);
    be16_put(bytes + ETH_TYPE, types[fuzz_u8(fuzz) % ARRAY_SIZE(types)]);
    offload(fuzz, &frame.offload);
    fuzz_bytes(fuzz, bytes + ETH_HEADER, sizeof(bytes) - ETH_HEADER < len ? sizeof(bytes) - ETH_HEADER : len);
    for (unsigned i = 0; i < frame.nr_parts; i++) {
        u32 begin = len * i / frame.nr_parts, size = len * (i + 1) / frame.nr_parts - begin;

        piece[i] = malloc(size ? size : 1);
        REQUIRE(piece[i]);
        memcpy(piece[i], bytes + begin, size);
        frame.part[i] = (struct frame_part){ piece[i], size };
    }
    from = &end->port;
    headers_parse(&frame);
    switch_input(from, &frame);
    from = NULL;
    REQUIRE(decisions() - before == !end->port.closed);
    for (unsigned i = 0; i < frame.nr_parts; i++)
        free(piece[i]);
}

static void act(struct fuzz *fuzz)
{
    u8 what = fuzz_u8(fuzz);
    struct end *end = &ends[what & 3];

    switch (what >> 2 & 15) {
    case 0: port_hold(&end->port); break;
    case 1: port_release(&end->port); break;
    case 2: port_hold_drop(&end->port); break;
    case 3: end->port.closed = !end->port.closed; break;
    case 4: now += fuzz_number(fuzz, 3) << 20; break;
    case 5:
        if (end != &ends[UPLINK])
            announce_port(&end->port);
        break;
    default: say(fuzz, end); break;
    }
    REQUIRE(end->port.nr_addresses <= PORT_ADDRESSES && end->port.nr_held <= HOLD_FRAMES);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct fuzz fuzz = { data, size };
    u8 settings = fuzz_u8(&fuzz);

    now = 1; /* an input that finds something finds it alone, too */
    switch_configure(&(struct switch_settings){ .storm_limit = settings & 2 ? 20 : 0, .anti_spoof = settings & 1 });
    join(UPLINK, "uplink", true);
    join(OURS, "godwit", true);
    join(GUEST_A, "a", false);
    join(GUEST_B, "b", false);
    while (fuzz.size)
        act(&fuzz);
    for (unsigned i = 0; i < PORTS; i++)
        switch_remove(&ends[i].port);
    REQUIRE(!switch_ports());
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: protect/heartbeat.c stream/record.c stream/crc32c.c dev/codec.c tests/unit/stubs.c */
/* sources: tests/unit/fake_keys.c */
/* Two machines' heartbeats of one guest, over a network and with a clock that do as the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/clock.h"
#include "net/udp_port.h"
#include "protect/heartbeat.h"
#include "stream/record.h"
#include "tests/unit/fake_keys.h"
#include "tls/keyring.h"

#define MS 1000000ULL
#define LIMIT 300
#define PORT 4900

static u64 now_ns;
static udp_port_fn *hears;
static u8 said[UDP_PORT_MAX];
static size_t said_len;
static struct tcp_address said_to;
static const struct tcp_address peer = { .bytes = { 192, 0, 2, 11 }, .port = PORT };

u64 clock_ns(void)
{
    return now_ns;
}

bool udp_port_open(u16 port, udp_port_fn *hear)
{
    assert_int_equal(port, PORT);
    hears = hear;
    return true;
}

bool udp_port_say(const struct tcp_address *to, const void *bytes, size_t len)
{
    said_to = *to;
    said_len = len;
    memcpy(said, bytes, len);
    return true;
}

/* This machine's side, of epoch 7: the other one is owner 2. */
static struct heartbeat begin(void)
{
    struct heartbeat heartbeat = {
        .epoch = 7, .me = 1, .other = 2, .to = peer, .limit = LIMIT * MS, .patience = 200 * MS
    };

    memset(heartbeat.vm_id, 5, WIRE_ID);
    return heartbeat;
}

static struct wire_beat beat_of(u64 owner, u64 epoch, u64 seq)
{
    struct wire_beat beat = { .epoch = epoch, .owner = owner, .seq = seq, .checkpoint = 40 + seq };

    memset(beat.vm_id, 5, WIRE_ID);
    beat_seal(&beat);
    return beat;
}

static void hear(const struct wire_beat *beat)
{
    hears(&peer, (const u8 *)beat, sizeof(*beat));
}

static int open_port(void **state)
{
    (void)state;
    now_ns = 1000 * MS;
    return heartbeat_open(PORT) ? 0 : -1;
}

/* A beat is said every sixth part of the limit, as long as the agreement is kept. */
static void test_says(void **state)
{
    struct heartbeat heartbeat = begin();
    struct wire_beat beat;
    unsigned count = 0;

    (void)state;
    heartbeat_begin(&heartbeat);
    for (unsigned ms = 0; ms < 600; ms += 10, now_ns += 10 * MS) {
        said_len = 0;
        heartbeat_note(&heartbeat, now_ns);
        heartbeat_poll(&heartbeat, ms < 300, 9);
        count += said_len != 0;
    }
    assert_int_equal(count, 6);
    assert_int_equal(beat_read(&beat, said, sizeof(beat)), 0);
    assert_int_equal(beat.seq, 6);
    assert_int_equal(beat.checkpoint, 9);
    assert_int_equal(beat.owner, 1);
    assert_memory_equal(&said_to, &peer, sizeof(peer));
    heartbeat_end(&heartbeat);
}

/* Five lost beats of six are no silence; the patience of this machine is. The machine wakes in time to notice. */
static void test_silence(void **state)
{
    struct heartbeat heartbeat = begin();
    struct wire_beat beat = beat_of(2, 7, 1);

    (void)state;
    heartbeat_begin(&heartbeat);
    hear(&beat);
    now_ns += 200 * MS;
    assert_int_equal(heartbeat_poll(&heartbeat, false, 0), now_ns + 1);
    assert_false(heartbeat.silent);
    assert_int_equal(heartbeat.checkpoint, 41);
    now_ns++;
    heartbeat_poll(&heartbeat, false, 0);
    assert_true(heartbeat.silent);
    beat = beat_of(2, 7, 2);
    hear(&beat);
    assert_true(heartbeat.silent); /* it is final */
    heartbeat_end(&heartbeat);
}

/* What has come over the connection counts from when it came, not from when it is looked at. */
static void test_noted_late(void **state)
{
    struct heartbeat heartbeat = begin();

    (void)state;
    heartbeat_begin(&heartbeat);
    now_ns += 150 * MS;
    heartbeat_note(&heartbeat, now_ns - 100 * MS);
    assert_int_equal(heartbeat_age(&heartbeat), 100 * MS);
    heartbeat_note(&heartbeat, now_ns - 120 * MS);
    assert_int_equal(heartbeat_age(&heartbeat), 100 * MS);
    now_ns += 100 * MS + 1;
    heartbeat_poll(&heartbeat, false, 0);
    assert_true(heartbeat.silent);
    heartbeat_end(&heartbeat);
}

/* Beats that say nothing about the other machine as it is now. */
static void test_strange(void **state)
{
    struct wire_beat beats[] = { beat_of(3, 7, 2), beat_of(2, 6, 2), beat_of(2, 7, 1), beat_of(2, 7, 2),
                                 beat_of(2, 7, 2) };
    struct heartbeat heartbeat = begin();
    struct wire_beat first = beat_of(2, 7, 1);

    (void)state;
    beats[3].checkpoint++; /* damaged */
    memset(beats[4].vm_id, 6, WIRE_ID);
    beat_seal(&beats[4]);
    heartbeat_begin(&heartbeat);
    hear(&first);
    now_ns += 100 * MS;
    for (unsigned i = 0; i < 5; i++)
        hear(&beats[i]);
    hears(&peer, (const u8 *)&first, sizeof(first) - 1);
    assert_int_equal(heartbeat_age(&heartbeat), 100 * MS);
    heartbeat_end(&heartbeat);
    first = beat_of(2, 7, 2);
    hear(&first); /* nobody listens any more */
}

/* With keys a beat counts only with its tag; without, only if it has none. Nobody keeps a machine alive by beats that
 * he has made, or heard before. */
static void test_keys(void **state)
{
    struct heartbeat heartbeat = begin();
    struct wire_tagged_beat tagged = { .beat = beat_of(2, 7, 1) };
    u64 forged = heartbeat_counters()->forged, old = heartbeat_counters()->old;
    unsigned bits = 8 * sizeof(tagged.tag);

    (void)state;
    heartbeat.patience = 1000 * LIMIT * MS;
    fake_keys = true;
    heartbeat_begin(&heartbeat);
    now_ns += 100 * MS;
    keyring_tag(&tagged.beat, sizeof(tagged.beat), tagged.tag);
    hear(&tagged.beat);
    for (unsigned bit = 0; bit < bits; bit++) {
        tagged.tag[bit / 8] ^= (u8)(1 << bit % 8);
        hears(&peer, (const u8 *)&tagged, sizeof(tagged));
        tagged.tag[bit / 8] ^= (u8)(1 << bit % 8);
    }
    tagged.beat.checkpoint++;
    beat_seal(&tagged.beat);
    hears(&peer, (const u8 *)&tagged, sizeof(tagged));
    assert_int_equal(heartbeat_counters()->forged - forged, bits + 2);
    assert_int_equal(heartbeat_age(&heartbeat), 100 * MS);
    keyring_tag(&tagged.beat, sizeof(tagged.beat), tagged.tag);
    hears(&peer, (const u8 *)&tagged, sizeof(tagged));
    assert_int_equal(heartbeat_age(&heartbeat), 0);
    now_ns += 100 * MS;
    hears(&peer, (const u8 *)&tagged, sizeof(tagged));
    assert_int_equal(heartbeat_age(&heartbeat), 100 * MS);
    assert_int_equal(heartbeat_counters()->old - old, 1);
    heartbeat_note(&heartbeat, now_ns);
    heartbeat_poll(&heartbeat, true, 9);
    assert_int_equal(said_len, sizeof(tagged));
    memcpy(&tagged, said, sizeof(tagged));
    assert_true(keyring_tagged(&tagged.beat, sizeof(tagged.beat), tagged.tag));
    fake_keys = false;
    tagged.beat = beat_of(2, 7, 2);
    hears(&peer, (const u8 *)&tagged, sizeof(tagged));
    assert_int_equal(heartbeat_counters()->forged - forged, bits + 3);
    heartbeat_end(&heartbeat);
}

/* Who was away for longer than the limit, and comes back, takes the other one for silent before a beat that has come
 * meanwhile counts. */
static void test_away(void **state)
{
    struct heartbeat heartbeat = begin();
    struct wire_beat beat = beat_of(2, 7, 1);

    (void)state;
    heartbeat.patience = 1000 * LIMIT * MS;
    heartbeat_begin(&heartbeat);
    now_ns += LIMIT * MS;
    hear(&beat);
    assert_false(heartbeat.silent);
    now_ns += LIMIT * MS + 1;
    beat = beat_of(2, 7, 2);
    hear(&beat);
    assert_true(heartbeat.silent);
    heartbeat_end(&heartbeat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_says),    cmocka_unit_test(test_silence), cmocka_unit_test(test_noted_late),
        cmocka_unit_test(test_strange), cmocka_unit_test(test_keys),    cmocka_unit_test(test_away),
    };

    return cmocka_run_group_tests(tests, open_port, NULL);
}

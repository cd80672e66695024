/* SPDX-License-Identifier: BSD-2-Clause */
#include "protect/heartbeat.h"

#include <string.h>

#include "host/bits.h"
#include "host/clock.h"
#include "net/udp_port.h"
#include "stream/record.h"
#include "tls/keyring.h"

static struct list all = { &all, &all };
static struct heartbeat_counters counters;

const struct heartbeat_counters *heartbeat_counters(void)
{
    return &counters;
}

u64 heartbeat_age(const struct heartbeat *heartbeat)
{
    return clock_ns() - heartbeat->heard;
}

/* Before anything that has come counts. */
static void look(struct heartbeat *heartbeat)
{
    u64 now = clock_ns();

    if (now - heartbeat->looked > heartbeat->limit || now - heartbeat->heard > heartbeat->patience)
        heartbeat->silent = true;
    heartbeat->looked = now;
}

void heartbeat_note(struct heartbeat *heartbeat, u64 when)
{
    look(heartbeat);
    heartbeat->heard = MAX(heartbeat->heard, when);
}

static struct heartbeat *find(const struct wire_beat *beat)
{
    list_each (struct heartbeat, heartbeat, &all) {
        if (!memcmp(heartbeat->vm_id, beat->vm_id, WIRE_ID) && heartbeat->epoch == beat->epoch &&
            heartbeat->other == beat->owner)
            return heartbeat;
    }
    return NULL;
}

/* Has a machine with our key said this beat? That it was not said before, its number says: of one agreement no number
 * comes twice, and no machine has two agreements of one epoch in its life. */
static bool genuine(const u8 *bytes, size_t len)
{
    struct wire_tagged_beat tagged;

    if (!keyring_present())
        return len == sizeof(tagged.beat);
    if (len != sizeof(tagged))
        return false;
    memcpy(&tagged, bytes, sizeof(tagged));
    return keyring_tagged(&tagged.beat, sizeof(tagged.beat), tagged.tag);
}

static void hear(const struct tcp_address *from, const u8 *bytes, size_t len)
{
    struct wire_beat beat;
    struct heartbeat *heartbeat = beat_read(&beat, bytes, len) ? NULL : find(&beat);

    (void)from;
    if (!heartbeat) {
        counters.strange++;
        return;
    }
    if (beat.seq <= heartbeat->heard_seq) {
        counters.old++;
        return;
    }
    if (!genuine(bytes, len)) {
        counters.forged++;
        return;
    }
    counters.heard++;
    heartbeat->heard_seq = beat.seq;
    heartbeat->checkpoint = beat.checkpoint;
    heartbeat_note(heartbeat, clock_ns());
}

bool heartbeat_open(u16 port)
{
    return udp_port_open(port, hear);
}

void heartbeat_begin(struct heartbeat *heartbeat)
{
    heartbeat->looked = heartbeat->heard = clock_ns();
    heartbeat->silent = false;
    heartbeat->seq = heartbeat->heard_seq = heartbeat->said = heartbeat->checkpoint = 0;
    list_add_tail(&all, &heartbeat->node);
}

void heartbeat_end(struct heartbeat *heartbeat)
{
    list_del(&heartbeat->node);
}

static void say(struct heartbeat *heartbeat, u64 checkpoint)
{
    struct wire_tagged_beat tagged = {
        .beat = { .epoch = heartbeat->epoch, .owner = heartbeat->me, .seq = ++heartbeat->seq, .checkpoint = checkpoint }
    };
    size_t len = sizeof(tagged.beat);

    memcpy(tagged.beat.vm_id, heartbeat->vm_id, sizeof(tagged.beat.vm_id));
    beat_seal(&tagged.beat);
    if (keyring_present()) {
        keyring_tag(&tagged.beat, sizeof(tagged.beat), tagged.tag);
        len = sizeof(tagged);
    }
    counters.said += udp_port_say(&heartbeat->to, &tagged, len);
}

u64 heartbeat_poll(struct heartbeat *heartbeat, bool says, u64 checkpoint)
{
    u64 now = clock_ns(), pause = heartbeat->limit / HEARTBEATS;

    look(heartbeat);
    if (says && now - heartbeat->said >= pause) {
        say(heartbeat, checkpoint);
        heartbeat->said = now;
    }
    return MIN(says ? heartbeat->said + pause : ~0ULL,
               heartbeat->silent ? ~0ULL : heartbeat->heard + heartbeat->patience + 1);
}

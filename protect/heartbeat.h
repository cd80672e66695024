/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heartbeats: each of the two machines of a protected guest says by small datagrams that it keeps the agreement, and
 * notices when the other one says nothing any more (docs/failover-protocol.md, "Heartbeats"). Host loop.
 *
 * Silence is final: who was silent for as long as the limit says has become silent, whatever comes later. So has
 * everybody if this machine itself was away for that long: nothing that has come meanwhile tells what is so now.
 */
#pragma once

#include "host/list.h"
#include "net/tcp_address.h"
#include "stream/wire.h"

#define HEARTBEATS 6 /* in the time of the limit */

/* A guest's. Only heartbeat.c writes to it. */
struct heartbeat {
    struct list node;
    struct tcp_address to;
    u8 vm_id[WIRE_ID];
    u64 epoch, me, other; /* of the agreement; owner numbers */
    u64 limit;            /* ns of silence after which the other machine may be dead */
    u64 patience;         /* ns after which this one takes it to be */
    u64 seq, heard_seq;   /* the last ones */
    u64 said, heard;      /* ns: the last time */
    u64 looked;           /* ns: when this machine was not away */
    u64 checkpoint;       /* that the other machine has named last */
    bool silent;
};

/* Hear beats on this UDP port. Boot, once. False: no memory. */
bool heartbeat_open(u16 port);

/* Begin with a guest: vm_id, epoch, me, other, to, limit and patience are filled in. */
void heartbeat_begin(struct heartbeat *heartbeat);
void heartbeat_end(struct heartbeat *heartbeat);

/* Something of the other machine has come over a connection at this time of clock_ns: that counts like a beat. */
void heartbeat_note(struct heartbeat *heartbeat, u64 when);

/* Say a beat if `says`, and one is due: it names the checkpoint. Returns the time of clock_ns by which it wants to be
 * called again. */
u64 heartbeat_poll(struct heartbeat *heartbeat, bool says, u64 checkpoint);

/* How many ns ago something has come last. */
u64 heartbeat_age(const struct heartbeat *heartbeat);

/* Beats since the boot. */
struct heartbeat_counters {
    u64 said, heard;
    u64 strange; /* datagrams that were no beats of another machine about a guest here */
    u64 old;     /* such beats, not above the last one */
    u64 forged;  /* with keys: such beats that no machine with the key has said */
};
const struct heartbeat_counters *heartbeat_counters(void);

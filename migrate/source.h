/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sending end of a move: six stages as a state machine that never blocks, over a transport and a VM's ops. Whatever
 * fails before COMMIT ends with the guest running here; after it, only the handoff (handoff.h) decides.
 *
 * How to plug it in. A VM that may move has a struct source for life (source_init), since epochs and doubt outlive a
 * move. The host loop calls source_step() of every VM whose source_active(), again at once while it returns true, and
 * otherwise when the transport can send or has received, or after 10 ms. source_start, source_cancel and source_resolve
 * are the commands migrate, migrate_cancel and resolve; stats is query-migrate. All on the host loop. Whoever hears a
 * claim of this VM under an epoch calls source_heard().
 * The transport may send guest pages without a copy: they stay mapped until ops->free, before which a
 * connection that has not been acknowledged to the last byte is closed, whatever its destination says.
 */
#pragma once

#include "migrate/bucket.h"
#include "migrate/handoff.h"
#include "migrate/ram_digest.h"
#include "migrate/record.h"
#include "migrate/stats.h"
#include "migrate/vm_ops.h"

enum source_phase {
    SOURCE_IDLE,
    SOURCE_CONNECT,
    SOURCE_RESERVE,    /* header and RESERVE said */
    SOURCE_ROUND,      /* a live round */
    SOURCE_ROUND_WAIT, /* until the destination has it */
    SOURCE_HARVEST,    /* what was written meanwhile; of a guest that stands, too */
    SOURCE_STOP,
    SOURCE_FINAL_RAM,
    SOURCE_STATE,
    SOURCE_DIGEST,  /* verify: over memory */
    SOURCE_PREPARE, /* said, or about to be */
    SOURCE_COMMIT,  /* in doubt */
    SOURCE_CLOSING, /* the outcome is known; last words, and frames for a guest that has left */
};

/* Pages gathered for one record, until the bucket lets it go. */
struct source_batch {
    u64 gpa[WIRE_BATCH];
    const void *page[WIRE_BATCH];
    unsigned pages;
};

/* What was digested since the round began. */
struct digest_work {
    u64 ns, pages, filled; /* filled: of the pages, those that are not zeros */
};

struct source {
    const struct migrate_source_ops *ops;
    void *vm;
    u8 vm_id[WIRE_ID];
    u64 owner; /* this machine's: struct wire_claim */
    struct handoff_source handoff;
    struct migrate_settings settings;
    struct migrate_stats stats;
    enum source_phase phase;

    struct transport transport;
    bool connected, greeted, answered; /* there is a transport; its header is said; the peer's has come */
    struct inbox inbox;
    struct outbox outbox;
    unsigned say; /* handoff messages to send: HANDOFF_SAY_* */
    bool say_end;
    u64 work;                                        /* pages looked at or digested, for KEEPALIVE */
    bool beyond;                                     /* this move has passed an epoch that the destination remembered */
    u64 last_said, last_heard, last_whole, next_try; /* ns; last_whole: when no record was half received */

    struct migrate_description *description;
    struct ram ram;
    u64 *bitmap;      /* pages that this round still has to send */
    u64 cursor, left; /* next page to look at; bits set in bitmap */
    struct source_batch batch;
    struct wire_run run[WIRE_RUNS];
    unsigned runs;
    struct policy_round now; /* the round in progress */
    struct bucket bucket;

    struct ram_digest digest; /* verify: of our memory */
    bool digesting;           /* from now on live rounds end with digests */
    struct digest_work digested;
    u32 dest_digest_us; /* that the destination has digested in this round */
    u64 page_ns;        /* that digests of one page take, of both ends together; 0: not known */

    bool logging, reserve_said;
    bool forwarding; /* it runs there, and frames that reach this machine are sent on */
    bool paused;     /* or being paused */
    unsigned section;
    u64 state_digest;
    u64 started, phase_began, round_began, stopped, header_said; /* ns */
};

/* A VM that is owned here under `epoch`, by the machine whose claims name it as `owner`. */
void source_init(struct source *source, const struct migrate_source_ops *ops, void *vm, const u8 vm_id[WIRE_ID],
                 u64 epoch, u64 owner);

/* May another move begin? If only last words are left of one after which the guest is still here, they are cut short:
 * its destination will know by the higher epoch of the next one. */
bool source_settle(struct source *source);

/* Begin a move. Returns 0, -EBUSY: one is on; -EPERM: not ours to move; -EINVAL, -ENOMEM, or what describe() says. */
int source_start(struct source *source, const struct migrate_settings *settings);

/* Is there anything to do? */
static inline bool source_active(const struct source *source)
{
    return source->phase != SOURCE_IDLE;
}

/* Go on as far as it goes now. Returns true if it would go on at once. */
bool source_step(struct source *source);

/* Break it off: the guest runs on here, at once. Returns 0; -ENOENT: nothing is on; -EBUSY: too late, COMMIT is said.
 */
int source_cancel(struct source *source);

/* The limits of the move that is under way, if one is: other ones from now on. As struct migrate_settings has them. */
void source_limit(struct source *source, u32 downtime_limit, u64 max_bandwidth);

/* In doubt: ask the destination to abort if it still can. In doubt or superseded: the operator's force. */
enum source_resolution { SOURCE_QUERY_ABORT, SOURCE_FORCE_RESUME, SOURCE_FORCE_GIVE_UP };

/* Returns 0, or -ENOENT: it is neither in doubt nor superseded. */
int source_resolve(struct source *source, enum source_resolution resolution);

/* Another machine claims this VM. If its epoch is higher than any that is known here, or the same and its copy is elder
 * than ours, which has been here for age_ms, our copy stands, and whatever was under way ends. */
void source_heard(struct source *source, const struct wire_claim *claim, u64 age_ms);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two-phase handoff as two pure state machines: events in, actions out, no I/O and no clock. They decide, alone,
 * who may run the guest; tests/model/handoff.pml is the same in Promela, and docs/migration-stream.md in words.
 *
 * Invariants: a source that has once said COMMIT runs its guest again only on ABORTED, or by an operator's force; a
 * destination runs it only on COMMIT or by an operator's adopt, and never after it has been in ABORTED; of two copies
 * that run because force was used wrongly, the one of the lower epoch stands as soon as it hears of the other.
 */
#pragma once

#include "host/types.h"

#define EPOCH_MAX (1ULL << 56)
#define EPOCH_STEP (1ULL << 32)

/* Is an epoch that somebody says damaged or forged, for it is too far above the highest that is `known` here of its VM?
 * Callable anywhere. */
static inline bool epoch_is_noise(u64 known, u64 epoch)
{
    return epoch > EPOCH_MAX || (epoch > known && epoch - known > EPOCH_STEP);
}

/* Under which epoch an owner at `own` says so to who has claimed the VM under `heard`, which is not above it: ours, or
 * the highest that he can believe. Callable anywhere. */
static inline u64 epoch_to_say(u64 own, u64 heard)
{
    return own - heard > EPOCH_STEP ? heard + EPOCH_STEP : own;
}

/* What happens. Messages first; their epoch comes with them. */
enum handoff_event {
    HANDOFF_PREPARE,
    HANDOFF_PREPARED, /* its digests agree; if not, the engine says HANDOFF_CANCEL */
    HANDOFF_COMMIT,
    HANDOFF_RUNNING,
    HANDOFF_QUERY,
    HANDOFF_QUERY_ABORT, /* QUERY with the wish to abort */
    HANDOFF_ABORT,
    HANDOFF_ABORTED,
    HANDOFF_UNKNOWN,
    /* Of this side. */
    HANDOFF_READY,         /* source: all state is sent. Destination: all of it is loaded and checked */
    HANDOFF_CANCEL,        /* the operator's, or any failure of ours */
    HANDOFF_LINK_LOST,     /* connection gone, or the peer silent for too long */
    HANDOFF_LINK_BACK,     /* source: a RESOLVE connection is up */
    HANDOFF_TIMER,         /* source: WIRE_RETRY_MS */
    HANDOFF_FORCE_RESUME,  /* the operator's word that the other side doesn't run it */
    HANDOFF_ADOPT,         /* the same of a destination that is prepared: its operator takes the guest over */
    HANDOFF_FORCE_GIVE_UP, /* the operator's word that the other side has it */
    HANDOFF_HIGHER_EPOCH,  /* somebody else says that he owns this VM, since a later epoch */
    HANDOFF_RIVAL,         /* source: somebody else says so under our epoch, and his copy is the elder */
    HANDOFF_OWNER_HEARD,   /* destination: the source says that it owns this VM, under its old epoch */
    NR_HANDOFF_EVENTS,
};

/* What to do, in this order. */
enum handoff_action {
    HANDOFF_RECORD = 1 << 0, /* remember epoch and peer for good */
    HANDOFF_GATE = 1 << 1,   /* shut the guest's port */
    HANDOFF_RESUME = 1 << 2, /* source: the guest goes on here, port open */
    HANDOFF_RUN = 1 << 3,    /* destination: the guest starts here, port open */
    HANDOFF_FREE = 1 << 4,   /* the copy here is given up */
    HANDOFF_SAY_PREPARE = 1 << 5,
    HANDOFF_SAY_PREPARED = 1 << 6,
    HANDOFF_SAY_COMMIT = 1 << 7,
    HANDOFF_SAY_RUNNING = 1 << 8,
    HANDOFF_SAY_QUERY = 1 << 9, /* with the wish to abort */
    HANDOFF_SAY_ABORT = 1 << 10,
    HANDOFF_SAY_ABORTED = 1 << 11,
    HANDOFF_RECONNECT = 1 << 12, /* source: (re)open a connection, and start the timer */
    HANDOFF_ANNOUNCE = 1 << 13,  /* tell the network where the guest is */
    HANDOFF_STAND = 1 << 14,     /* source: stop the guest, shut its port, and keep it */
};

enum source_state {
    SOURCE_OWNER,      /* the guest is here */
    SOURCE_PREPARING,  /* stopped, PREPARE said */
    SOURCE_IN_DOUBT,   /* COMMIT said: neither resume nor free it */
    SOURCE_SUPERSEDED, /* another machine owns a later epoch: ours stands, until an operator decides */
    SOURCE_GONE,       /* it runs elsewhere */
};

/* Has a source in this state a copy that it does not run, and that may be the only one? Callable anywhere. */
static inline bool source_state_holds(enum source_state state)
{
    return state == SOURCE_PREPARING || state == SOURCE_IN_DOUBT || state == SOURCE_SUPERSEDED;
}

struct handoff_source {
    enum source_state state;
    u64 epoch;    /* as owner: ours. Else the one proposed */
    u64 proposed; /* highest ever proposed, here or by whom we know of: never used twice */
    bool lost;    /* in doubt, and the destination answered UNKNOWN: needs the operator */
    bool abort;   /* in doubt, and the operator prefers it back: QUERY instead of COMMIT */
};

enum dest_state {
    DEST_LOADING,
    DEST_PREPARED, /* complete and stopped */
    DEST_RUNNING,
    DEST_ABORTED, /* for good: no memory is left, only the answer */
    DEST_GONE,    /* ran here, and belongs to somebody else since */
};

struct handoff_dest {
    enum dest_state state;
    u64 epoch; /* E */
};

/* By how much, at least, an operator's force goes beyond all that is known, so that two operators do not come to the
 * same epoch; each adds up to as much again. */
#define EPOCH_FORCE (1ULL << 16)

/* The owner of a VM at `epoch`. */
void handoff_source_init(struct handoff_source *source, u64 epoch);

/* A new attempt: returns its epoch E. In SOURCE_OWNER. */
u64 handoff_propose(struct handoff_source *source);

/* The destination has refused the last proposal, for it remembers `epoch`: the next one is above that. False: it is no
 * later one, or noise. In SOURCE_OWNER. */
bool handoff_remembered(struct handoff_source *source, u64 epoch);

/* Events of another epoch than the attempt's are ignored. HANDOFF_FORCE_RESUME comes with the number of epochs to go
 * beyond all that is known. Return actions (enum handoff_action). */
unsigned handoff_source_event(struct handoff_source *source, enum handoff_event event, u64 epoch);

void handoff_dest_init(struct handoff_dest *dest, u64 epoch);

/* Messages of another epoch are ignored: the caller answers those with UNKNOWN. */
unsigned handoff_dest_event(struct handoff_dest *dest, enum handoff_event event, u64 epoch);

/* "owner", "in-doubt" ... */
const char *source_state_name(enum source_state state);
const char *dest_state_name(enum dest_state state);

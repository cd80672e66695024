/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two-phase handoff as two pure state machines: events come in, actions go out; there is no I/O and no clock. They
 * alone decide who may run the guest. tests/model/handoff.pml says the same in Promela, docs/migration-stream.md in
 * words.
 *
 * Invariants: a source that has once said COMMIT runs its guest again only on ABORTED, or by an operator's force; a
 * destination runs the guest only on COMMIT, or by an operator's adopt, and never after it has been in ABORTED. If two
 * copies run because force was used wrongly, the copy of the lower epoch stands still as soon as it hears of the other
 * one. An attempt may be split: the destination runs the guest while pages of it are missing there; the source then
 * frees them on COMPLETE, or by an operator's force, and no operator adopts such a copy. An attempt may protect: its
 * source runs the guest on while the copy is prepared, and whether that copy may run, others decide (protect/guard.h):
 * until they have said HANDOFF_ALONE, or the source COMMIT, it may.
 */
#pragma once

#include "host/types.h"

#define EPOCH_MAX (1ULL << 56)
/* The highest epoch that a claim says. Owners come to higher ones by force or with a move alone, so an operator always
 * finds one above all that others have said. */
#define EPOCH_CLAIM (EPOCH_MAX / 2)
#define EPOCH_STEP (1ULL << 32)

/* Is `epoch`, which another machine has said, too far above `known`, the highest epoch that this machine knows of the
 * VM? Callable anywhere. */
static inline bool epoch_is_far(u64 known, u64 epoch)
{
    return epoch > known && epoch - known > EPOCH_STEP;
}

/* Is the epoch of a claim damaged or forged? Callable anywhere. */
static inline bool epoch_is_noise(u64 known, u64 epoch)
{
    return epoch > EPOCH_CLAIM || epoch_is_far(known, epoch);
}

/* The epoch that force takes, `beyond` epochs above the highest known one. Callable anywhere. */
static inline u64 epoch_forced(u64 known, u64 beyond)
{
    return known < EPOCH_MAX - beyond ? known + beyond : EPOCH_MAX;
}

/* The epoch under which an owner at `own` answers a machine that has claimed the VM under `heard`, which is not above
 * `own`: `own` itself, or the highest epoch that the other machine can believe. Callable anywhere. */
static inline u64 epoch_to_say(u64 own, u64 heard)
{
    return own - heard > EPOCH_STEP ? heard + EPOCH_STEP : own;
}

/* Events. First come the messages of the peer; each brings its epoch. */
enum handoff_event {
    HANDOFF_PREPARE,
    HANDOFF_PREPARED, /* the digests agree; if they differ, the engine says HANDOFF_CANCEL */
    HANDOFF_COMMIT,
    HANDOFF_RUNNING,
    HANDOFF_COMPLETE, /* no page is missing any more */
    HANDOFF_QUERY,
    HANDOFF_QUERY_ABORT, /* QUERY with the wish to abort */
    HANDOFF_ABORT,
    HANDOFF_ABORTED,
    HANDOFF_UNKNOWN,
    /* Events of this side. */
    HANDOFF_READY,         /* source: all state is sent. Destination: all of it has come and is checked */
    HANDOFF_CANCEL,        /* the operator cancels, or something fails here */
    HANDOFF_LINK_LOST,     /* the connection is gone, or the peer was silent for too long */
    HANDOFF_LINK_BACK,     /* source: a RESOLVE connection is up */
    HANDOFF_FORCE_RESUME,  /* the operator says that the other side doesn't run it */
    HANDOFF_ADOPT,         /* a prepared destination: the operator says so, and lets the guest run here */
    HANDOFF_FORCE_GIVE_UP, /* the operator says that the other side has it */
    HANDOFF_HIGHER_EPOCH,  /* another machine says that it owns this VM, under a later epoch */
    HANDOFF_RIVAL,         /* source: another machine says so under our epoch, and its copy is to stay */
    HANDOFF_WHOLE,         /* destination: the last missing page is here */
    HANDOFF_OWNER_HEARD,   /* destination: the source says that it owns this VM, under its old epoch */
    HANDOFF_ALONE,         /* source, protected: the copy there will never run, so the guest is this machine's alone */
    NR_HANDOFF_EVENTS,
};

/* Actions of one event: source_event() and dest_event() carry them out. Messages are said when all else is done, and
 * after them a destination announces the guest. */
enum handoff_action {
    ACTION_GATE = 1 << 0,   /* shut the guest's port */
    ACTION_RESUME = 1 << 1, /* source: the guest goes on here, port open */
    ACTION_RUN = 1 << 2,    /* destination: the guest starts here, port open */
    ACTION_FREE = 1 << 3,   /* the copy here is not wanted any more: destination, free it; source, let go of it */
    ACTION_SAY_PREPARE = 1 << 4,
    ACTION_SAY_PREPARED = 1 << 5,
    ACTION_SAY_COMMIT = 1 << 6,
    ACTION_SAY_RUNNING = 1 << 7,
    ACTION_SAY_QUERY = 1 << 8, /* with the wish to abort */
    ACTION_SAY_ABORT = 1 << 9,
    ACTION_SAY_ABORTED = 1 << 10,
    ACTION_RECONNECT = 1 << 11, /* source: (re)open a connection, and start the timer */
    ACTION_NOTE = 1 << 12,      /* the owner may have changed: note the epoch, and log who has it; a line takes time, so
                                 * this comes after all that a guest which stands waits for, COMMIT included */
    ACTION_ANNOUNCE = 1 << 13,  /* tell the network where the guest is */
    ACTION_STAND = 1 << 14,     /* source: stop the guest, shut its port, and keep it */
    ACTION_SERVE = 1 << 15,     /* source: the guest runs there, and its pages are here: send them */
    ACTION_SAY_COMPLETE = 1 << 16,
    ACTION_GO_ON = 1 << 17, /* source: the guest runs on here, and its copy there is kept up to date */
};

enum source_state {
    SOURCE_OWNER,      /* the guest is here */
    SOURCE_PREPARING,  /* stopped, PREPARE said */
    SOURCE_IN_DOUBT,   /* COMMIT said: neither resume nor free it */
    SOURCE_SERVING,    /* split: it runs elsewhere, and pages of it are here alone */
    SOURCE_SUPERSEDED, /* another machine owns it: our copy stands still until an operator decides */
    SOURCE_GONE,       /* it runs elsewhere */
    SOURCE_PROTECTED,  /* it runs here, and a copy of it is prepared elsewhere, which another rule may let run */
};

/* Does a source in this state have a copy that it does not run, and that may be the only one? Callable anywhere. */
static inline bool source_state_holds(enum source_state state)
{
    return state == SOURCE_PREPARING || state == SOURCE_IN_DOUBT || state == SOURCE_SERVING ||
           state == SOURCE_SUPERSEDED;
}

struct handoff_source {
    enum source_state state;
    u64 epoch;    /* under which this machine owns, or last owned, the VM; SOURCE_GONE: the destination's */
    u64 proposed; /* the highest that this machine has proposed or knows of: never used twice */
    u64 heard;    /* split, and COMMIT said: the highest epoch that another machine has claimed meanwhile */
    bool split;   /* this attempt hands over before all memory has moved */
    bool lost;    /* in doubt or serving, and the destination answered UNKNOWN: needs the operator */
    bool abort;   /* in doubt, and the operator wants the guest back: QUERY is said instead of COMMIT. Protected: the
                   * copy there is given up, if it has not been let run */
    bool protect; /* this attempt's copy is to be kept up to date, and not to be run yet */
};

/* Does this source own its VM, as far as it knows? Callable anywhere. */
static inline bool source_owns(const struct handoff_source *source)
{
    return source->state == SOURCE_OWNER || (source->state == SOURCE_PROTECTED && !source->abort);
}

/* Does it have a copy that may be the only one, though another machine may run the VM? Callable anywhere. */
static inline bool source_holds(const struct handoff_source *source)
{
    return source_state_holds(source->state) || (source->state == SOURCE_PROTECTED && source->abort);
}

enum dest_state {
    DEST_RECEIVING,
    DEST_PREPARED,   /* complete and stopped */
    DEST_INCOMPLETE, /* split: it runs, and pages are missing */
    DEST_RUNNING,
    DEST_ABORTED, /* final: no memory is left, only the answer */
    DEST_GONE,    /* ran here, and another machine owns it since */
};

struct handoff_dest {
    enum dest_state state;
    u64 epoch;  /* E */
    bool split; /* it is let run before all memory has come */
};

/* Does the guest run here, by this attempt? Callable anywhere. */
static inline bool dest_state_runs(enum dest_state state)
{
    return state == DEST_INCOMPLETE || state == DEST_RUNNING;
}

/* An operator's force chooses an epoch at least this far above all that are known, and each machine adds up to as much
 * again, so that two operators do not come to the same epoch. */
#define EPOCH_FORCE (1ULL << 16)

/* Begin as the owner of a VM, under `epoch`. */
void handoff_source_init(struct handoff_source *source, u64 epoch);

/* Begin a new attempt; returns its epoch E. Only in SOURCE_OWNER. */
u64 handoff_propose(struct handoff_source *source);

/* The destination has refused the last proposal because it remembers `epoch`: the next proposal will be above that.
 * Returns false if `epoch` is below the refused proposal, or is noise. Only in SOURCE_OWNER. */
bool handoff_remembered(struct handoff_source *source, u64 epoch);

/* Messages of another epoch than the attempt's are ignored. With HANDOFF_FORCE_RESUME, `epoch` is the number of epochs
 * to go beyond all that are known. Returns actions (enum handoff_action). */
unsigned handoff_source_event(struct handoff_source *source, enum handoff_event event, u64 epoch);

void handoff_dest_init(struct handoff_dest *dest, u64 epoch);

/* Messages of another epoch are ignored: the caller answers them with UNKNOWN. Returns actions. */
unsigned handoff_dest_event(struct handoff_dest *dest, enum handoff_event event, u64 epoch);

/* "owner", "in-doubt" ... */
const char *dest_state_name(enum dest_state state);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may speak for a protected guest: a pure state machine for either machine, the primary, which runs the guest, and
 * the secondary, which has its copy. Events come in, actions go out; there is no I/O and no clock.
 * docs/failover-protocol.md says the same in words, tests/model/failover.pml in Promela.
 *
 * Invariants: the primary lets go what no checkpoint of the secondary covers only if the deed names no secondary, or
 * the secondary has said ABORTED; the secondary runs the guest only if the deed names it as the owner. Without a
 * witness the primary trusts its own judgement, and the secondary an operator's word alone, or COMMIT. Who has once
 * left the agreement of this epoch never comes back to it.
 */
#pragma once

#include "protect/deed.h"

enum guard_state {
    /* The machine that runs the guest. */
    GUARD_ALONE,     /* it sends freely */
    GUARD_JOINING,   /* a copy is made, and the guest's output is held; the deed does not name the secondary yet */
    GUARD_PROTECTED, /* what a checkpoint covers is sent */
    GUARD_PARTING,   /* the secondary is lost or not wanted; it may have taken over, or not */
    GUARD_HANDED,    /* COMMIT is said */
    GUARD_LOST,      /* another machine has it: the copy here stands */
    /* The machine with the copy. */
    GUARD_STANDBY,
    GUARD_ASKING, /* the primary is silent: the witness is asked for the guest */
    GUARD_TAKEN,  /* the guest runs here */
    /* Either. */
    GUARD_GONE, /* no copy is left here */
};

enum guard_event {
    /* What the witness says, and what becomes of a question to it. */
    GUARD_DEED, /* it has this deed now */
    GUARD_SENT, /* a byte of a swap has left: it may be done at any time from now on */
    /* Of the other machine, under the epoch of the guard; SILENT: nothing has come from it for as long as the limit
     * says, at the primary two thirds of that. */
    GUARD_SILENT,
    GUARD_LINK_LOST,   /* the connection has ended */
    GUARD_ABORTED,     /* the secondary says that it has no copy, and has never asked for the guest */
    GUARD_RUNNING,     /* the guest runs there */
    GUARD_OWNER_HEARD, /* the primary says on the link that it runs the guest, long after its connection has ended */
    GUARD_OVERRULED,   /* some machine claims the guest under an epoch that a copy here has to give way to */
    /* The primary's own. */
    GUARD_STOPPED,      /* the guest stands for the first copy */
    GUARD_PREPARED,     /* the first copy is whole at the secondary */
    GUARD_CHECKPOINTED, /* a checkpoint is */
    GUARD_STALLED,      /* none has been acknowledged for too long */
    GUARD_LAST,   /* an operator wants it to run there: the last checkpoint is acknowledged, and the guest stands */
    GUARD_WAITED, /* nothing that decides has come for too long */
    /* The secondary's own. */
    GUARD_CHECKPOINT, /* one is whole, and in the copy */
    GUARD_COMMIT,
    GUARD_ABORT,
    GUARD_QUERY,
    GUARD_GIVE_UP, /* an operator knows that the primary runs it */
    /* Either's. */
    GUARD_LEAVE, /* protection is not wanted any more, or can't go on */
    GUARD_FORCE, /* an operator knows that the other machine does not run it, and never will */
    NR_GUARD_EVENTS,
};

/* Actions of one event; they are carried out in this order. */
enum guard_action {
    GUARD_DO_HOLD = 1 << 0,    /* from now on the guest's output is held */
    GUARD_DO_STAND = 1 << 1,   /* stop the guest, and keep its copy */
    GUARD_DO_DROP = 1 << 2,    /* what is held never leaves */
    GUARD_DO_RELEASE = 1 << 3, /* let go what the checkpoint covers */
    GUARD_DO_OPEN = 1 << 4,    /* let go all, and hold nothing any more */
    GUARD_DO_RUN = 1 << 5,     /* let the guest go on, if it was made to stand */
    GUARD_DO_PAUSE = 1 << 6,   /* let it stand until it is known who has it */
    GUARD_DO_CLOSE = 1 << 7,   /* the secondary acknowledges nothing any more, and says no beats */
    GUARD_DO_ADOPT = 1 << 8,   /* run the copy */
    GUARD_DO_FREE = 1 << 9,    /* free the copy */
    GUARD_DO_ASK = 1 << 10,    /* swap what the witness has for guard_wanted(); read first if that is not known */
    GUARD_DO_READ = 1 << 11,   /* in a second, read again what it has */
    GUARD_DO_SAY_CHECKPOINTED = 1 << 12,
    GUARD_DO_SAY_COMMIT = 1 << 13,
    GUARD_DO_SAY_QUERY = 1 << 14, /* with the wish to abort */
    GUARD_DO_SAY_ABORT = 1 << 15,
    GUARD_DO_SAY_PREPARED = 1 << 16,
    GUARD_DO_SAY_RUNNING = 1 << 17,
    GUARD_DO_SAY_ABORTED = 1 << 18,
};

struct guard {
    enum guard_state state;
    bool witness; /* there is one */
    bool asked;   /* GUARD_SENT has come in this state */
    u64 epoch;    /* of this attempt */
    struct deed_host me, other;
};

/* Begin with a guest that runs here, is about to be protected, and is to have `epoch` there; or with its copy. */
void guard_init(struct guard *guard, enum guard_state state, bool witness, u64 epoch, const struct deed_host *me,
                const struct deed_host *other);

/* `deed`: with GUARD_DEED only, else NULL. Returns actions; 0 if the event changes nothing. */
unsigned guard_event(struct guard *guard, enum guard_event event, const struct deed *deed);

/* The deed that this state asks for. */
struct deed guard_wanted(const struct guard *guard);

/* Does it keep the agreement, so that it says beats? */
static inline bool guard_keeps(const struct guard *guard)
{
    return guard->state == GUARD_JOINING || guard->state == GUARD_PROTECTED || guard->state == GUARD_STANDBY;
}

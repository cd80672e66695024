/* SPDX-License-Identifier: BSD-2-Clause */
#include "owners/handoff.h"

#include "host/bits.h"

void handoff_source_init(struct handoff_source *source, u64 epoch)
{
    *source = (struct handoff_source){ .state = SOURCE_OWNER, .epoch = epoch, .proposed = epoch };
}

u64 handoff_propose(struct handoff_source *source)
{
    source->lost = source->abort = source->split = source->protect = false; /* of an attempt before this one */
    return ++source->proposed;
}

bool handoff_remembered(struct handoff_source *source, u64 epoch)
{
    if (source->state != SOURCE_OWNER || epoch < source->proposed || epoch_is_far(source->proposed, epoch))
        return false;
    source->proposed = epoch;
    return true;
}

static bool from_peer(enum handoff_event event)
{
    return event <= HANDOFF_UNKNOWN;
}

static unsigned owner_event(struct handoff_source *source, enum handoff_event event)
{
    if (event != HANDOFF_READY)
        return 0;
    source->state = SOURCE_PREPARING;
    return ACTION_SAY_PREPARE;
}

static unsigned commit(struct handoff_source *source)
{
    source->state = SOURCE_IN_DOUBT;
    source->lost = source->abort = false;
    return ACTION_NOTE | ACTION_GATE | ACTION_SAY_COMMIT;
}

static unsigned preparing_event(struct handoff_source *source, enum handoff_event event)
{
    switch (event) {
    case HANDOFF_PREPARED:
        if (!source->protect)
            return commit(source);
        source->state = SOURCE_PROTECTED;
        return ACTION_GO_ON;
    case HANDOFF_CANCEL:
    case HANDOFF_LINK_LOST:
    case HANDOFF_ABORTED:
        /* COMMIT was not said, so no other machine runs the guest, whatever the link does to ABORT. */
        source->state = SOURCE_OWNER;
        return ACTION_RESUME | (event == HANDOFF_CANCEL ? ACTION_SAY_ABORT : 0);
    default: return 0;
    }
}

static unsigned ask_again(const struct handoff_source *source)
{
    return source->abort ? ACTION_SAY_QUERY : ACTION_SAY_COMMIT;
}

static unsigned resume_as(struct handoff_source *source, u64 epoch)
{
    source->state = SOURCE_OWNER;
    source->epoch = epoch;
    return ACTION_RESUME | ACTION_NOTE;
}

static unsigned gone(struct handoff_source *source)
{
    source->epoch = source->proposed;
    source->state = SOURCE_GONE;
    return ACTION_FREE;
}

/* The operator decides by force. The new epoch is above all that we know of, so that any other copy stands still if it
 * shows up after all. */
static unsigned forced_event(struct handoff_source *source, enum handoff_event event, u64 beyond)
{
    if (event == HANDOFF_FORCE_RESUME) {
        source->proposed = epoch_forced(MAX(source->proposed, source->heard), beyond);
        return resume_as(source, source->proposed) | ACTION_ANNOUNCE;
    }
    return event == HANDOFF_FORCE_GIVE_UP ? gone(source) : 0;
}

static unsigned serving_event(struct handoff_source *source, enum handoff_event event, u64 beyond)
{
    switch (event) {
    case HANDOFF_COMPLETE: return gone(source);
    case HANDOFF_RUNNING: source->lost = false; return 0;
    case HANDOFF_UNKNOWN: source->lost = true; return 0;
    case HANDOFF_LINK_LOST: return ACTION_RECONNECT;
    case HANDOFF_LINK_BACK: return ACTION_SAY_COMMIT; /* it is answered with what is still missing */
    default: return forced_event(source, event, beyond);
    }
}

/* Others have decided that the copy there will never run. */
static unsigned alone(struct handoff_source *source)
{
    return source->protect ? resume_as(source, source->epoch) | ACTION_SAY_ABORT : 0;
}

/* The copy here stands from now on. A destination that prepares, too, is told that the move is over. */
static unsigned superseded(struct handoff_source *source)
{
    unsigned words = source->state == SOURCE_PREPARING ? ACTION_SAY_ABORT : 0;

    source->state = SOURCE_SUPERSEDED;
    return ACTION_STAND | words;
}

static unsigned in_doubt_event(struct handoff_source *source, enum handoff_event event, u64 epoch)
{
    switch (event) {
    case HANDOFF_ALONE: return alone(source);
    case HANDOFF_RUNNING:
        if (source->protect && source->abort) /* it was let run from the last checkpoint, and not by COMMIT */
            return superseded(source);
        if (!source->split)
            return gone(source);
        source->state = SOURCE_SERVING;
        source->lost = false;
        return ACTION_SERVE;
    case HANDOFF_COMPLETE: return source->split ? gone(source) : 0;
    case HANDOFF_ABORTED:
        return source->heard > source->proposed ? superseded(source) : resume_as(source, source->epoch);
    case HANDOFF_PREPARED:
    case HANDOFF_LINK_BACK: return ask_again(source);
    case HANDOFF_LINK_LOST: return ACTION_RECONNECT;
    case HANDOFF_CANCEL: source->abort = true; return ACTION_SAY_QUERY; /* the operator wants the guest back */
    case HANDOFF_UNKNOWN: source->lost = true; return 0;
    default: return forced_event(source, event, epoch);
    }
}

static unsigned protected_event(struct handoff_source *source, enum handoff_event event, u64 epoch)
{
    switch (event) {
    case HANDOFF_READY: return source->abort ? 0 : commit(source);
    case HANDOFF_CANCEL:
    case HANDOFF_LINK_BACK: source->abort = true; return ACTION_SAY_QUERY;
    case HANDOFF_LINK_LOST: source->abort = true; return ACTION_RECONNECT;
    case HANDOFF_ALONE: return alone(source);
    case HANDOFF_RUNNING: return superseded(source);
    case HANDOFF_UNKNOWN: source->lost = true; return 0; /* it may have asked the others before it forgot */
    default: return event == HANDOFF_FORCE_RESUME ? forced_event(source, event, epoch) : 0;
    }
}

static unsigned higher_epoch(struct handoff_source *source, u64 epoch)
{
    bool standing = source->state == SOURCE_SUPERSEDED;
    /* In doubt, E itself is no news: only an epoch above E is. */
    u64 known = standing || source->state == SOURCE_IN_DOUBT ? source->proposed : source->epoch;

    if (source->state == SOURCE_GONE || epoch <= known || epoch_is_noise(source->proposed, epoch))
        return 0;
    /* A split source that has said COMMIT runs nothing, and the copy there, which needs it, judges for itself. */
    if (source->state == SOURCE_SERVING || (source->state == SOURCE_IN_DOUBT && source->split)) {
        source->heard = MAX(source->heard, epoch);
        return 0;
    }
    source->proposed = MAX(source->proposed, epoch);
    return standing ? 0 : superseded(source);
}

/* An equal epoch is no news to a source that has proposed it itself. */
static unsigned rival(struct handoff_source *source, u64 epoch)
{
    if (!source_owns(source) && source->state != SOURCE_PREPARING)
        return 0;
    if (epoch != source->epoch)
        return 0;
    return superseded(source);
}

unsigned handoff_source_event(struct handoff_source *source, enum handoff_event event, u64 epoch)
{
    if (event == HANDOFF_HIGHER_EPOCH)
        return higher_epoch(source, epoch);
    if (event == HANDOFF_RIVAL)
        return rival(source, epoch);
    if (from_peer(event) && epoch != source->proposed)
        return 0;
    switch (source->state) {
    case SOURCE_OWNER: return owner_event(source, event);
    case SOURCE_PREPARING: return preparing_event(source, event);
    case SOURCE_IN_DOUBT: return in_doubt_event(source, event, epoch);
    case SOURCE_SERVING: return serving_event(source, event, epoch);
    case SOURCE_SUPERSEDED: return forced_event(source, event, epoch);
    case SOURCE_PROTECTED: return protected_event(source, event, epoch);
    case SOURCE_GONE: return 0;
    }
    return 0;
}

void handoff_dest_init(struct handoff_dest *dest, u64 epoch)
{
    *dest = (struct handoff_dest){ .state = DEST_RECEIVING, .epoch = epoch };
}

static unsigned abort_attempt(struct handoff_dest *dest)
{
    dest->state = DEST_ABORTED;
    return ACTION_NOTE | ACTION_FREE | ACTION_SAY_ABORTED;
}

static unsigned receiving_event(struct handoff_dest *dest, enum handoff_event event)
{
    switch (event) {
    case HANDOFF_READY: dest->state = DEST_PREPARED; return ACTION_SAY_PREPARED;
    case HANDOFF_COMMIT: /* the copy is not complete: the peer breaks the rules */
    case HANDOFF_ABORT:
    case HANDOFF_QUERY:
    case HANDOFF_QUERY_ABORT:
    case HANDOFF_CANCEL:
    case HANDOFF_LINK_LOST: return abort_attempt(dest);
    default: return 0;
    }
}

static unsigned prepared_event(struct handoff_dest *dest, enum handoff_event event)
{
    if (event == HANDOFF_ADOPT && dest->split)
        return 0;
    switch (event) {
    case HANDOFF_COMMIT:
    case HANDOFF_ADOPT:
        dest->state = dest->split ? DEST_INCOMPLETE : DEST_RUNNING;
        return ACTION_NOTE | ACTION_RUN | ACTION_SAY_RUNNING | ACTION_ANNOUNCE;
    case HANDOFF_QUERY:
    case HANDOFF_PREPARE: return ACTION_SAY_PREPARED;
    case HANDOFF_ABORT:
    case HANDOFF_QUERY_ABORT:
    case HANDOFF_OWNER_HEARD: /* a source that claims the VM will not say COMMIT any more */
    case HANDOFF_CANCEL: return abort_attempt(dest);
    default: return 0; /* a lost link: COMMIT may still come by another one, and this copy may be the only one */
    }
}

static unsigned incomplete_event(struct handoff_dest *dest, enum handoff_event event, bool asked)
{
    if (event != HANDOFF_WHOLE)
        return asked ? ACTION_SAY_RUNNING : 0;
    dest->state = DEST_RUNNING;
    return ACTION_SAY_COMPLETE;
}

unsigned handoff_dest_event(struct handoff_dest *dest, enum handoff_event event, u64 epoch)
{
    bool asked = event == HANDOFF_COMMIT || event == HANDOFF_ABORT || event == HANDOFF_QUERY ||
                 event == HANDOFF_QUERY_ABORT;

    if (event == HANDOFF_HIGHER_EPOCH) {
        /* A VM that runs here has its own struct handoff_source for that. */
        bool under_way = dest->state == DEST_RECEIVING || dest->state == DEST_PREPARED;

        return under_way && epoch > dest->epoch && !epoch_is_noise(dest->epoch, epoch) ? abort_attempt(dest) : 0;
    }
    if (from_peer(event) && epoch != dest->epoch)
        return 0;
    switch (dest->state) {
    case DEST_RECEIVING: return receiving_event(dest, event);
    case DEST_PREPARED: return prepared_event(dest, event);
    case DEST_INCOMPLETE: return incomplete_event(dest, event, asked);
    case DEST_RUNNING:
    case DEST_GONE: return asked ? ACTION_SAY_RUNNING | (dest->split ? ACTION_SAY_COMPLETE : 0) : 0;
    case DEST_ABORTED: return asked ? ACTION_SAY_ABORTED : 0;
    }
    return 0;
}

const char *dest_state_name(enum dest_state state)
{
    static const char *const names[] = { "receiving", "prepared", "incomplete", "running", "aborted", "gone" };

    return names[state];
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The attempts that a destination remembers: which new ones it takes, and which old ones it forgets for them. */
#include <string.h>

#include "host/bits.h"
#include "migrate/dest_parts.h"

static bool same_vm(const struct incoming *in, const u8 *vm_id)
{
    return in->used && memcmp(in->vm_id, vm_id, WIRE_ID) == 0;
}

bool attempt_under_way(const struct incoming *in)
{
    return in->used && (in->handoff.state == DEST_RECEIVING || in->handoff.state == DEST_PREPARED);
}

const struct incoming *dest_find(const struct dest *dest, const void *vm, enum dest_state state)
{
    each_attempt (in, dest)
        if (in->used && in->vm == vm && in->handoff.state == state)
            return in;
    return NULL;
}

/* Does the attempt's epoch count as used? Before PREPARED is said it does not: no source can have said COMMIT. */
static bool counts(const struct incoming *in)
{
    return in->used && in->stats.prepared;
}

/* May its source be in doubt? The source was told PREPARED, and has not yet said that it knows how the move ended. */
static bool is_open(const struct incoming *in)
{
    return counts(in) && !in->settled;
}

u64 dest_known_epoch(const struct dest *dest, const u8 *vm_id, u64 epoch)
{
    u64 bar = 0;

    each_attempt (in, dest) {
        /* Any machine that reaches the port can have brought a guest under any epoch: an epoch that is noise, as seen
         * from here, does not keep the owner out. */
        if (same_vm(in, vm_id) && counts(in) && in->handoff.epoch >= epoch && !epoch_is_far(epoch, in->handoff.epoch))
            bar = MAX(bar, in->handoff.epoch);
    }
    return bar;
}

/* How long that part of a peer's text is that says which host it is: its name, which is proved, or its address. */
static size_t host_len(const char *peer)
{
    const char *end = strchr(peer, '@') ?: strrchr(peer, ':');

    return end ? (size_t)(end - peer) : strlen(peer);
}

bool same_host(const char *a, const char *b)
{
    return host_len(a) == host_len(b) && !strchr(a, '@') == !strchr(b, '@') && !strncmp(a, b, host_len(a));
}

/* May a connection from `peer` be about this attempt? Others know its id, epoch and owner by claims. So of a copy that
 * is here for long, and, where peers are named, of any, it must come from the same one. */
static bool concerns(const struct incoming *in, const char *peer)
{
    return (!in->protect && !strchr(in->peer, '@')) || same_host(in->peer, peer);
}

struct incoming *attempt_of(const struct dest_session *session, const struct wire_header *header)
{
    struct incoming *newest = NULL;

    each_attempt (in, session->dest)
        if (same_vm(in, header->vm_id) && !in->forgotten && in->handoff.epoch == header->epoch &&
            (!newest || in->stamp > newest->stamp))
            newest = in;
    return newest && concerns(newest, session->peer) ? newest : NULL;
}

/* --- Places --------------------------------------------------------------------------------------------------- */

void dest_limit(struct dest *dest, u64 bytes, u64 bytes_per_host)
{
    dest->limit = bytes;
    dest->limit_per_host = bytes_per_host;
}

u64 attempt_bytes(const struct incoming *in)
{
    return in ? in->ram.pages * WIRE_PAGE + in->file_bytes + in->beside : 0;
}

/* May it be freed for another one? Who decides about a copy that is kept up to date does not ask for its memory. */
static bool gives_way(const struct incoming *in)
{
    return !in->session && !in->protect;
}

u64 attempt_held(const struct dest *dest, const char *peer, const struct incoming *instead, bool stranded)
{
    u64 bytes = 0;

    each_attempt (in, dest) {
        if (in == instead || !in->used || (stranded && !gives_way(in)) || (peer && !same_host(in->peer, peer)))
            continue;
        if (attempt_under_way(in) && in->vm)
            bytes += attempt_bytes(in);
        else if (in->session)
            bytes += in->file_bytes;
    }
    return bytes;
}

u64 dest_held(const struct dest *dest)
{
    return attempt_held(dest, NULL, NULL, false);
}

struct incoming *attempt_stranded(struct dest *dest, const char *peer, const struct incoming *instead)
{
    struct incoming *oldest = NULL;

    each_attempt (in, dest)
        if (in != instead && attempt_under_way(in) && gives_way(in) && (!peer || same_host(in->peer, peer)) &&
            (!oldest || in->stamp < oldest->stamp))
            oldest = in;
    return oldest;
}

/* The order in which places are given away: first the attempts that no source asks about again. RANK_OPEN: a source in
 * doubt may need the answer. */
enum rank { RANK_UNUSED, RANK_OVER, RANK_TOLD, RANK_RUNS, RANK_OPEN, RANK_NEVER };

static enum rank rank(const struct incoming *in)
{
    if (!in->used)
        return RANK_UNUSED;
    if (attempt_under_way(in) || in->handoff.state == DEST_INCOMPLETE || in->session || in->lane || in->announce)
        return RANK_NEVER;
    if (is_open(in))
        return RANK_OPEN;
    if (in->handoff.state == DEST_RUNNING)
        return RANK_RUNS;
    return counts(in) ? RANK_TOLD : RANK_OVER;
}

/* For how many moves from the host of this one may a source still need the answer? */
static unsigned open_of_host(const struct dest *dest, const struct incoming *in)
{
    unsigned count = 0;

    each_attempt (other, dest)
        count += is_open(other) && same_host(other->peer, in->peer);
    return count;
}

/* Is the place of `a` given away before that of `b`? If both answers may be needed, the host that has more of them
 * gives one up, so that no host loses its answer to another host's many. */
static bool goes_before(const struct dest *dest, const struct incoming *a, const struct incoming *b)
{
    unsigned of_a, of_b;

    if (rank(a) != rank(b))
        return rank(a) < rank(b);
    of_a = rank(a) == RANK_OPEN ? open_of_host(dest, a) : 0;
    of_b = rank(b) == RANK_OPEN ? open_of_host(dest, b) : 0;
    return of_a != of_b ? of_a > of_b : a->stamp < b->stamp;
}

/* A place for a new attempt. NULL: all are needed, for no host has left more than one move open. */
static struct incoming *find_place(struct dest *dest)
{
    struct incoming *place = &dest->incoming[0];

    for (unsigned i = 1; i < DEST_ATTEMPTS; i++)
        if (goes_before(dest, &dest->incoming[i], place))
            place = &dest->incoming[i];
    if (rank(place) == RANK_NEVER || (rank(place) == RANK_OPEN && open_of_host(dest, place) < 2))
        return NULL;
    return place;
}

/* Not for a guest that runs here: UNKNOWN would let its source's operator think that it does not. */
unsigned dest_settle(struct dest *dest, const u8 *vm_id)
{
    unsigned settled = 0;

    each_attempt (in, dest) {
        bool here = attempt_under_way(in) || dest_state_runs(in->handoff.state);

        if (!is_open(in) || here || (vm_id && !same_vm(in, vm_id)))
            continue;
        in->settled = true;
        settled++;
    }
    return settled;
}

/* --- New ones ------------------------------------------------------------------------------------------------- */

/* `in`, another attempt of the same VM, is under way: may `fresh` take its place? A check frees no copy that may be
 * needed. Images have no owner, who would have given the first one up. */
static bool replaces(const struct incoming *in, const struct incoming *fresh)
{
    return in->owner == fresh->owner && (in->owner || !in->session) && fresh->handoff.epoch > in->handoff.epoch &&
           (in->session || !fresh->dry_run) && concerns(in, fresh->peer);
}

static const struct outcome begun_again = { WIRE_E_CANCEL, "its source has begun another attempt" };

/* Who asks a witness for a guest may have to wait for long, and may not have sent a swap yet. */
void attempt_contest(struct dest *dest, const struct incoming *fresh)
{
    each_attempt (in, dest)
        if (same_vm(in, fresh->vm_id) && attempt_under_way(in) && protect_closed(in) && replaces(in, fresh) &&
            !fresh->dry_run)
            dest_event(dest, in, HANDOFF_ABORT, in->handoff.epoch, begun_again);
}

/* The VM's owner tries again, so it has not said COMMIT: what an earlier attempt left behind is void. The ABORT of an
 * attempt that was cancelled may still be on its way, behind pages. */
void attempt_replace(struct dest *dest, struct incoming *in)
{
    struct incoming *old = in->instead;

    in->instead = NULL;
    in->description->instead = NULL;
    if (!old)
        return;
    dest_decide(dest, old, HANDOFF_CANCEL, 0, begun_again);
}

enum wire_code attempt_admit(struct dest_session *session, const char **reason)
{
    struct dest *dest = session->dest;
    struct incoming *fresh = &session->fresh;

    fresh->instead = NULL;
    *reason = "the epoch is not new";
    if (dest_known_epoch(dest, fresh->vm_id, fresh->handoff.epoch))
        return WIRE_E_REPLAY;
    each_attempt (in, dest) {
        if (!same_vm(in, fresh->vm_id) || !attempt_under_way(in))
            continue;
        *reason = in->session ? "this VM is moving already" : "a prepared copy of this VM is kept there: see resolve";
        if (protect_closed(in))
            *reason = "the copy there is about to run, if it may";
        if (!replaces(in, fresh) || protect_closed(in))
            return WIRE_E_BUSY;
        fresh->instead = in;
    }
    *reason = "too many sources have not said yet that they know how their moves ended: see migrate-settle";
    return find_place(dest) ? WIRE_OK : WIRE_E_BUSY;
}

void attempt_keep(struct dest_session *session)
{
    struct incoming *place = find_place(session->dest);

    *place = session->fresh;
    place->used = true;
    place->stamp = ++session->dest->stamps;
    session->incoming = place;
    memset(&session->fresh, 0, sizeof(session->fresh));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A prepared copy that is kept up to date. A checkpoint is kept apart until all of it has come. Then its state is
 * restored, which can be refused, and its pages are written, which can't fail. That goes on in parts, because others
 * want the host loop, heartbeats above all: meanwhile the copy is between two checkpoints, whatever becomes of the
 * connection, and is not let run before it is one whole checkpoint. What becomes of the copy is not decided here: see
 * migrate/protect.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "host/log.h"
#include "stream/crc32c.h"
#include "stream/sections.h"
#include "stream/stash.h"
#include "migrate/dest_parts.h"

#define ROOM_SHIFT 2     /* there is room for a quarter of the guest's pages */
#define PUT_NS NS_PER_MS /* in one go, */
#define PUT_PAGES 4      /* and so many between two looks at the clock: each may be the first of its 2 MiB */
#define GIVEN_UP 2       /* with PROTECT_ABORT */

struct dest_protect {
    struct wire_protect wish;
    struct stash stash;
    struct sections coming, kept; /* the state of the checkpoint that comes, and of the copy */
    u64 number;                   /* of the checkpoint that the copy is */
    u64 pages, zero_pages;        /* that came with it */
    u64 put_ns;                   /* that it took to put them there */
    u64 lost;                     /* ns: when the last connection ended */
    bool putting;                 /* the copy is between two checkpoints */
    bool closed;                  /* no more are taken */
    bool adopted;                 /* it is to be let run, as soon as it is not between two checkpoints */
};

static struct stash_memory memory_of(const struct dest *dest, const struct incoming *in)
{
    return (struct stash_memory){ .vm = in->vm, .page = dest->ops->look, .place = dest->ops->page };
}

static void report(struct dest *dest, const struct incoming *in, enum protect_event event, u64 number)
{
    dest->ops->protect(in->vm, event, number);
}

/* --- Beginning ------------------------------------------------------------------------------------------------ */

u64 protect_room(const struct ram *ram)
{
    return MAX(ram->pages >> ROOM_SHIFT, 1);
}

static int reserve(struct incoming *in, const struct wire_protect *wish)
{
    struct dest_protect *p = calloc(1, sizeof(*p));
    u64 room = MIN(protect_room(&in->ram), wish->room_pages);

    in->protect = p;
    if (!p)
        return -ENOMEM;
    p->wish = *wish;
    return stash_init(&p->stash, &in->ram, room) || sections_init(&p->coming) || sections_init(&p->kept) ? -ENOMEM : 0;
}

static void release(struct incoming *in)
{
    if (!in->protect)
        return;
    stash_fini(&in->protect->stash);
    sections_fini(&in->protect->coming);
    sections_fini(&in->protect->kept);
    free(in->protect);
    in->protect = NULL;
}

/* Within what an operator can set. */
static bool is_credible(const struct wire_protect *wish)
{
    return wish->interval_ms >= WIRE_INTERVAL_MIN_MS && wish->interval_ms <= WIRE_INTERVAL_MAX_MS &&
           wish->limit_ms >= WIRE_LIMIT_MIN_MS && wish->limit_ms <= WIRE_LIMIT_MAX_MS && wish->room_pages;
}

void protect_wanted(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    struct wire_protecting answer = { .owner = session->dest->ops->owner(session->dest->ctx) };
    struct wire_protect wish;

    if (!(in->description->head.flags & WIRE_GUARDED) || in->protect || in->cold ||
        inbox_body(&session->inbox, &wish, sizeof(wish)) || !is_credible(&wish)) {
        dest_refuse(session, WIRE_E_STREAM,
                    "PROTECT out of turn, or what it wishes is not from 5 to 1000 ms, 100 to "
                    "60000 ms, and a page or more");
        return;
    }
    if (reserve(in, &wish)) {
        dest_refuse(session, WIRE_E_MEMORY, "no memory for a checkpoint beside the guest's");
        return;
    }
    receive_got_on(session, 1);
    answer.room_pages = (u32)in->protect->stash.room;
    outbox_record(&session->outbox, WIRE_PROTECTING, &answer, sizeof(answer));
}

void protect_keep(struct dest_session *session)
{
    struct incoming *in = session->incoming;

    if (in->protect && sections_add(&in->protect->kept, session->inbox.body, session->inbox.len))
        dest_refuse(session, WIRE_E_STREAM, "more state than any guest has");
}

void protect_begin(struct dest_session *session)
{
    session->stage = SESSION_PROTECT;
    session->dest->refused[0] = '\0';
    report(session->dest, session->incoming, PROTECT_STANDBY, session->incoming->handoff.epoch);
}

u64 protect_patience(const struct dest_session *session)
{
    const struct incoming *in = session->incoming;
    bool follows = session->stage == SESSION_PROTECT || session->stage == SESSION_PUT;

    return MAX(WIRE_DEAD_MS, follows && in && in->protect ? in->protect->wish.limit_ms : 0) * NS_PER_MS;
}

/* --- A checkpoint comes ----------------------------------------------------------------------------------------- */

u8 *protect_place(struct dest_session *session, gpa_t gpa)
{
    return stash_page(&session->incoming->protect->stash, gpa);
}

/* Nothing has written to it since it was copied aside. */
void protect_page(struct dest_session *session)
{
    const struct inbox *box = &session->inbox;

    if (crc32c(0, box->target, WIRE_PAGE) != box->page.crc)
        dest_refuse(session, WIRE_E_DAMAGED, "a page of a checkpoint arrived damaged");
}

void protect_zero(struct dest_session *session)
{
    const struct inbox *box = &session->inbox;
    struct wire_run run;

    for (size_t at = 0; at < box->len; at += sizeof(run)) {
        memcpy(&run, box->body + at, sizeof(run));
        if (!stash_zeros(&session->incoming->protect->stash, run.gpa, run.pages)) {
            dest_refuse(session, WIRE_E_MEMORY, "a checkpoint has more pages than there is room for");
            return;
        }
    }
    receive_got_on(session, 1);
}

void protect_state(struct dest_session *session)
{
    if (sections_add(&session->incoming->protect->coming, session->inbox.body, session->inbox.len))
        dest_refuse(session, WIRE_E_STREAM, "malformed STATE, or more of it than any guest has");
    else
        receive_got_on(session, 1);
}

static void forget(struct dest_protect *p)
{
    stash_clear(&p->stash);
    sections_clear(&p->coming);
}

/* Has all of this checkpoint come? */
static bool is_whole(const struct dest_protect *p, const struct wire_checkpoint *checkpoint)
{
    return checkpoint->number == p->number + 1 && checkpoint->pages == p->stash.pages &&
           checkpoint->zero_pages == p->stash.zero_pages && checkpoint->state_digest == p->coming.digest &&
           p->coming.number == p->kept.number;
}

/* Restore the state that has come, or, if that is refused, the copy's own again. */
static enum wire_code restore(struct dest_session *session, char reason[WIRE_REASON])
{
    const struct dest *dest = session->dest;
    struct incoming *in = session->incoming;
    struct dest_protect *p = in->protect;
    struct sections came = p->coming;
    char unused[WIRE_REASON];

    if (sections_restore(&came, dest->ops->section, in->vm, reason)) {
        if (sections_restore(&p->kept, dest->ops->section, in->vm, unused))
            pr_err("migrate: %s: the state of its copy is not taken again: %s", in->name, unused);
        return WIRE_E_STATE;
    }
    p->coming = p->kept;
    p->kept = came;
    return WIRE_OK;
}

void protect_checkpoint(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    struct dest_protect *p = in->protect;
    struct wire_checkpoint checkpoint;
    char reason[WIRE_REASON];

    if (p->closed) {
        forget(p);
        return;
    }
    if (inbox_body(&session->inbox, &checkpoint, sizeof(checkpoint)) || checkpoint.epoch != in->handoff.epoch ||
        !is_whole(p, &checkpoint)) {
        dest_refuse(session, WIRE_E_DIGEST, "a checkpoint is not what has come");
        return;
    }
    if (restore(session, reason)) {
        dest_refuse(session, WIRE_E_STATE, reason);
        return;
    }
    receive_got_on(session, 1);
    in->prepare.paused_ns = checkpoint.paused_ns;
    in->stats.closed = dest_now(session->dest);
    p->number = checkpoint.number;
    p->putting = true;
    session->stage = SESSION_PUT;
}

/* --- And is put into the copy ----------------------------------------------------------------------------------- */

static bool put_part(struct dest *dest, struct incoming *in)
{
    struct stash_memory memory = memory_of(dest, in);
    u64 ends = dest_now(dest) + PUT_NS;
    bool all;

    do
        all = stash_put_part(&in->protect->stash, &memory, PUT_PAGES);
    while (!all && dest_now(dest) < ends);
    return all;
}

/* What the connection still brings is of no use; it may be in the middle of a page. */
static void let_run(struct dest *dest, struct incoming *in)
{
    struct dest_session *session = in->session;

    if (session && session->stage == SESSION_PROTECT && !inbox_whole(&session->inbox)) {
        session_close(session);
    } else if (session && session->stage == SESSION_PROTECT) {
        session->stage = SESSION_HANDOFF;
        session->since = dest_now(dest);
    }
    dest_decide(dest, in, HANDOFF_ADOPT, 0, outcome_completed);
}

/* The checkpoint is in the copy. */
static void end_put(struct dest *dest, struct incoming *in)
{
    struct dest_protect *p = in->protect;

    p->putting = false;
    p->pages = p->stash.pages;
    p->zero_pages = p->stash.zero_pages;
    p->put_ns = dest_now(dest) - in->stats.closed;
    forget(p);
    if (in->session && in->session->stage == SESSION_PUT)
        in->session->stage = SESSION_PROTECT;
    report(dest, in, PROTECT_CHECKPOINTED, p->number);
    if (in->protect && in->protect->adopted) /* it may be freed by what was ordered now */
        let_run(dest, in);
}

bool protect_putting(const struct incoming *in)
{
    return in->used && in->protect && in->protect->putting;
}

bool protect_put(struct dest *dest, struct incoming *in)
{
    if (!protect_putting(in))
        return false;
    if (put_part(dest, in))
        end_put(dest, in);
    return true;
}

void protect_say(struct dest_session *session)
{
    const struct incoming *in = session->incoming;
    struct wire_checkpointed answer = { .epoch = session->epoch };

    if (in && in->protect) {
        answer.number = in->protect->number;
        answer.us = (u32)MIN(in->protect->put_ns / 1000, ~0U);
        outbox_record(&session->outbox, WIRE_CHECKPOINTED, &answer, sizeof(answer));
    }
}

void protect_detach(struct dest *dest, struct incoming *in)
{
    struct dest_protect *p = in->protect;

    if (!p || in->handoff.state != DEST_PREPARED)
        return;
    p->lost = dest_now(dest);
    report(dest, in, PROTECT_LINK_LOST, p->number);
}

/* --- Those who decide ------------------------------------------------------------------------------------------- */

bool protect_judges(struct dest *dest, struct incoming *in, enum handoff_event event, u64 epoch)
{
    if (!in->protect || in->handoff.state != DEST_PREPARED)
        return false;
    switch (event) {
    case HANDOFF_COMMIT: report(dest, in, PROTECT_COMMIT, in->protect->number); return true;
    case HANDOFF_ABORT: report(dest, in, PROTECT_ABORT, 0); return true;
    case HANDOFF_QUERY_ABORT: report(dest, in, PROTECT_ABORT, 1); return true;
    case HANDOFF_CANCEL: report(dest, in, PROTECT_ABORT, GIVEN_UP); return true;
    case HANDOFF_HIGHER_EPOCH:
        if (epoch > in->handoff.epoch && !epoch_is_noise(in->handoff.epoch, epoch))
            report(dest, in, PROTECT_HIGHER_EPOCH, epoch);
        return true;
    default: return false;
    }
}

void protect_heard(struct dest *dest, struct incoming *in)
{
    if (!in->session && dest_now(dest) - in->protect->lost > WIRE_HEARD_MS * NS_PER_MS)
        report(dest, in, PROTECT_OWNER_HEARD, in->protect->number);
}

bool protect_closed(const struct incoming *in)
{
    return in->protect && in->protect->closed;
}

void protect_over(struct dest *dest, struct incoming *in)
{
    if (in->protect && in->stats.prepared)
        report(dest, in, PROTECT_OVER, in->error);
    release(in);
}

static struct incoming *find(const struct dest *dest, const void *vm)
{
    const struct incoming *in = dest_find(dest, vm, DEST_PREPARED);

    return in && in->protect ? (struct incoming *)in : NULL;
}

/* Contract: PROTECT_ADOPT. */
static void adopt(struct dest *dest, struct incoming *in)
{
    in->protect->closed = in->protect->adopted = true;
    if (!in->protect->putting)
        let_run(dest, in);
}

int dest_protect(struct dest *dest, const void *vm, enum protect_order order)
{
    static const struct outcome freed = { WIRE_E_CANCEL, "its source goes on without this copy" };
    static const struct outcome given_up = { WIRE_E_CANCEL, "given up by an operator" };
    struct incoming *in = find(dest, vm);

    if (!in)
        return -ENOENT;
    switch (order) {
    case PROTECT_SAY:
        if (in->session && !in->protect->closed)
            in->session->say |= SAY_CHECKPOINTED;
        return 0;
    case PROTECT_STILL:
        if (in->session)
            in->session->say |= ACTION_SAY_PREPARED;
        return 0;
    case PROTECT_CLOSE: in->protect->closed = true; return 0;
    case PROTECT_ADOPT: adopt(dest, in); return 0;
    case PROTECT_FREE:
        in->settled = true; /* it is told, or knows */
        dest_decide(dest, in, HANDOFF_CANCEL, 0, freed);
        return 0;
    case PROTECT_FORGET:
        in->settled = in->forgotten = true;
        if (in->session) {
            session_close(in->session);
            session_detach(in->session);
        }
        dest_decide(dest, in, HANDOFF_CANCEL, 0, given_up);
        return 0;
    default: return -ENOENT;
    }
}

bool dest_protect_info(const struct dest *dest, const void *vm, struct protect_info *info)
{
    const struct incoming *in = find(dest, vm);
    const struct dest_protect *p = in ? in->protect : NULL;

    if (!p)
        return false;
    *info = (struct protect_info){
        .linked = in->session,
        .epoch = in->handoff.epoch,
        .other = in->owner,
        .peer = in->peer,
        .interval_ms = p->wish.interval_ms,
        .limit_ms = p->wish.limit_ms,
        .heard = in->heard,
        .number = p->number,
        .pages = p->pages,
        .zero_pages = p->zero_pages,
        .room_pages = p->stash.room,
        .put = p->put_ns,
    };
    return true;
}

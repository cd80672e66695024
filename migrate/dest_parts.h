/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the destination use of each other: dest.c (connections, handoff), dest_stages.c (what a connection
 * takes and does in each stage), dest_files.c (files that a guest starts from), dest_attempts.c (which attempts are
 * remembered), dest_receive.c (records become a stopped guest), dest_verify.c (digests), dest_stranded.c (stranded
 * copies), dest_fill.c (pages that are missing), dest_protect.c (checkpoints). */
#pragma once

#include "host/clock.h"
#include "migrate/dest.h"
#include "migrate/outcome.h"

/* In `say` of struct dest_session, beside the messages of the handoff: REFUSED; FILED. */
#define SAY_REFUSED (1u << 31)
#define SAY_FILED (1u << 30)
#define SAY_CHECKPOINTED (1u << 29)

/* What a stage means. */
struct session_row {
    bool idle; /* no guest depends on the connection: it gives way to a new one */
    bool move; /* it has one of the places for moves */
    /* Do a part of the work that comes before anything more is taken from the peer. NULL: there is none. */
    void (*work)(struct dest_session *session);
    /* It may last so long after session->since. 0: without end. Then `late` is done. */
    u32 limit_ms;
    void (*late)(struct dest_session *session);
};

static inline u64 dest_now(const struct dest *dest)
{
    return dest->ops->now(dest->ctx);
}

/* Log a line about an attempt, by pr_info or pr_warn. */
#define dest_log(log, in, format, ...) \
    log("migrate: %s, epoch %lu" format, (in)->name, (in)->handoff.epoch, ##__VA_ARGS__)

/* The attempt that the session is for, as its first connection or as its lane; NULL: none. */
static inline struct incoming *session_attempt(struct dest_session *session)
{
    return session->incoming ? session->incoming : session->lane_of;
}

/* Does it bring pages that are missing to a guest that runs? Callable anywhere. */
static inline bool session_fills(const struct dest_session *session)
{
    enum session_stage stage = session->stage == SESSION_CLEAR ? session->zero.stage : session->stage;

    return stage == SESSION_FILL || stage == SESSION_LANE || stage == SESSION_FILLED;
}

/* Does its guest wait for a page, which may come by the lane? */
static inline bool session_waits(const struct dest_session *session)
{
    return session->stage == SESSION_FILL && session->incoming->handoff.state == DEST_INCOMPLETE &&
           session->dest->ops->waits(session->incoming->vm);
}

const struct session_row *session_row(const struct dest_session *session);

/* A record has come. */
void session_take(struct dest_session *session);

/* End the connection when all is said; nothing more is taken from it. */
void session_close(struct dest_session *session);

/* Why the peer has broken it off: as its transport says, or `otherwise`. */
struct outcome session_why(const struct dest_session *session, struct outcome otherwise);

/* End the connection at once. The attempt that was receiving on it is given up. */
void session_end(struct dest_session *session);

/* The attempt, if there is one, is no longer the session's. */
void session_detach(struct dest_session *session);

/* Tell the handoff of an event, and carry out what it decides. If the guest will not come to run here because of it,
 * `why` says so to the operator. */
void dest_event(struct dest *dest, struct incoming *in, enum handoff_event event, u64 epoch, struct outcome why);

/* The same, and nobody is asked: a copy that is kept up to date is judged by others (protect_judges). */
void dest_decide(struct dest *dest, struct incoming *in, enum handoff_event event, u64 epoch, struct outcome why);

/* How long the guest has stood at the time `now`: until PREPARE was said, by the source's clock; since PREPARE came, by
 * ours. */
u64 dest_stood(const struct incoming *in, u64 now);

/* Refuse the session's attempt: say REFUSED, end the connection, and give up the attempt that was receiving on it. A
 * copy that is prepared, or runs here, stays. */
void dest_refuse(struct dest_session *session, enum wire_code code, const char *reason);

/* Is this attempt receiving or prepared? */
bool attempt_under_way(const struct incoming *in);

/* The latest attempt to move a VM here that this header of a connection names; NULL: none is known that its peer may be
 * about. */
struct incoming *attempt_of(const struct dest_session *session, const struct wire_header *header);

/* Are two peers, "ADDRESS:PORT" or "NAME@ADDRESS:PORT", the same host? One with a name may have several addresses. */
bool same_host(const char *a, const char *b);

/* The RESERVE of `fresh` has come: if its owner's earlier attempt is closed (protect_closed), that counts as ABORT. */
void attempt_contest(struct dest *dest, const struct incoming *fresh);

/* May session->fresh, whose RESERVE has come, be remembered? Returns WIRE_OK, with the attempt that fresh would make
 * void in fresh.instead; or the code, with *reason. */
enum wire_code attempt_admit(struct dest_session *session, const char **reason);

/* Free what is left of in->instead: the checks of `in` have passed. */
void attempt_replace(struct dest *dest, struct incoming *in);

/* The attempt is accepted: remember it from now on. Call it after attempt_admit, in the same step. */
void attempt_keep(struct dest_session *session);

/* attempt_bytes: the bytes of RAM of an attempt, 0 for NULL. attempt_held: the bytes that are held for guests which
 * come from the host of `peer`, "ADDRESS:PORT", or from all hosts (NULL), and for the files that come behind guests
 * which run; the attempt `instead` is not counted. With `stranded`, only copies without a session count. */
u64 attempt_bytes(const struct incoming *in);
u64 attempt_held(const struct dest *dest, const char *peer, const struct incoming *instead, bool stranded);

/* The oldest stranded copy that came from the host of `peer`, or any (NULL); never `instead`. NULL: there is none. */
struct incoming *attempt_stranded(struct dest *dest, const char *peer, const struct incoming *instead);

/* Free a stranded copy, because its memory is needed. */
void dest_free_stranded(struct dest *dest, struct incoming *in);

/* Handle a RESERVE, ZERO or STATE record, a page, or PREPARE that has come. Each function refuses the attempt if the
 * record is wrong. */
void receive_reserve(struct dest_session *session);
/* In SESSION_ROOM: when there is memory, or there will be no more, accept the attempt or refuse it. */
void receive_room(struct dest_session *session);
void receive_zero(struct dest_session *session);
void receive_state(struct dest_session *session);
void receive_page(struct dest_session *session);
/* FRAME has come: give the frame to the guest. */
void receive_frame(struct dest_session *session);
void receive_prepare(struct dest_session *session, const struct wire_handoff *prepare);

/* A split attempt. receive_missing: MISSING has come. lane_attach: the header of a lane has come. lane_detach: this
 * session, which may be NULL, is no lane any more. fill_begin: the guest was let run, if it is incomplete: take its
 * pages. fill_end: if no page is missing any more, it is whole. fill_lost: it misses nothing any more, or has ended: if
 * pages had not come, and there is no connection, they were lost: say so. fill_page: one has come in session->page.
 * fill_zero: one of zeros has; returns false if the session is of no more use. fill_say: make a WANT, MISSING or
 * KEEPALIVE record; returns false if nothing is to be said. */
void receive_missing(struct dest_session *session);
void lane_attach(struct dest_session *session, const struct wire_header *header);
void lane_detach(struct dest_session *session);
void fill_begin(struct dest_session *session);
void fill_end(struct dest *dest, struct incoming *in);
void fill_lost(struct incoming *in);
void fill_page(struct dest_session *session);
bool fill_zero(struct dest_session *session, gpa_t gpa);
/* If no page can be missing any more to this session's guest, others may have its place. */
void fill_watch(struct dest_session *session);
bool fill_say(struct dest_session *session);

/* A copy that is kept up to date. protect_wanted: PROTECT has come. protect_keep: a section of its first state has.
 * protect_begin: it is prepared. protect_patience: ns of silence after which the session's peer is dead.
 * protect_place: contract as inbox->place. protect_page, _state, _checkpoint: one has come. protect_zero: ZERO has, and
 * is well-formed. protect_putting: is the copy between two checkpoints? protect_put: do a part of what leads out of
 * that; returns false if there is none. protect_say: make CHECKPOINTED. protect_detach: the connection has ended.
 * protect_judges: tell those who decide about the copy of this event; returns whether it is theirs. protect_heard: its
 * source claims the VM. protect_closed: may it be let run at any time, so that its owner's next attempt is to be
 * refused? protect_room: the pages that a checkpoint may have of such a RAM. protect_over: the copy runs, or is about
 * to be freed. */
void protect_wanted(struct dest_session *session);
void protect_keep(struct dest_session *session);
void protect_begin(struct dest_session *session);
u64 protect_patience(const struct dest_session *session);
u8 *protect_place(struct dest_session *session, gpa_t gpa);
void protect_page(struct dest_session *session);
void protect_zero(struct dest_session *session);
void protect_state(struct dest_session *session);
void protect_checkpoint(struct dest_session *session);
bool protect_putting(const struct incoming *in);
bool protect_put(struct dest *dest, struct incoming *in);
void protect_say(struct dest_session *session);
void protect_detach(struct dest *dest, struct incoming *in);
bool protect_judges(struct dest *dest, struct incoming *in, enum handoff_event event, u64 epoch);
void protect_heard(struct dest *dest, struct incoming *in);
bool protect_closed(const struct incoming *in);
u64 protect_room(const struct ram *ram);
void protect_over(struct dest *dest, struct incoming *in);

/* OFFER, FILE or DIGEST has come. */
void receive_offer(struct dest_session *session);
void receive_file(struct dest_session *session);
void receive_digest_of_file(struct dest_session *session);

/* The function for inbox->place. */
u8 *receive_place(void *ctx, const struct wire_page *page);

/* The source has brought something, and this end has done so many pages, sections, parts of files or runs of work with
 * it. */
void receive_got_on(struct dest_session *session, u64 work);

/* In SESSION_CLEAR: go on with the ZERO record. */
void receive_clear(struct dest_session *session);

/* ROUND has come: answer it, or first digest what it asks for. */
void receive_round(struct dest_session *session, const struct wire_round *round);

/* In SESSION_DIGEST and SESSION_VERIFY: digest some pages; when no page is stale any more, say ROUND_DONE, or compare,
 * and say PREPARED or REFUSED. */
void receive_digest(struct dest_session *session);
void receive_verify(struct dest_session *session);

/* Continue `digest` over a section of state; returns the new digest. */
u64 section_digest(u64 digest, const struct wire_section *section, const u8 *bytes);

/* Say KEEPALIVE: this end lives, and has got so far. */
void say_keepalive(struct dest_session *session);

/* Free what only receiving needed; the VM stays. */
void receive_release(struct incoming *in);

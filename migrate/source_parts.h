/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the source use of each other: source.c (connection, handoff), source_end.c
 * (outcomes), source_words.c (messages), source_stages.c (what each stage means), source_ram.c (pages), source_digest.c
 * (verification), source_forward.c (frames), source_serve.c (pages that stay behind), source_measure.c (what is known
 * before), source_files.c (files, and a guest that starts anew), source_protect.c (checkpoints). */
#pragma once

#include "host/clock.h"
#include "migrate/outcome.h"
#include "migrate/source.h"

#define BURST (2 * WIRE_BATCH * (WIRE_PAGE + sizeof(struct wire_page))) /* bytes, of what max_bandwidth limits */
#define PUSH_BATCH (WIRE_BATCH / 4) /* pages of a record that nobody has asked for: who asks waits for it */

/* In `say` of struct source, beside the messages of the handoff: END. */
#define SAY_END (1u << 31)

/* What a stage means. */
struct stage_row {
    enum migrate_status status; /* as query-migrate shows it; behind COMMIT the outcome shows instead */
    size_t clock;               /* to which member of struct migrate_phases the time in it counts */
    bool stands;                /* the guest stands, or is about to */
    bool waits;                 /* it is the destination's turn: its answer ends the stage */
    /* It is entered. NULL: nothing more is to be done. */
    void (*enter)(struct source *s);
    /* Make the next record, or do a part of the work for it. Returns false if there is nothing to do now. NULL: it only
     * listens. */
    bool (*produce)(struct source *s);
    /* It may last so long: setup as a whole, any other stage by itself. 0: without end. Then `late` is done. */
    u32 limit_ms;
    void (*late)(struct source *s);
    /* The connection broke, and is closed. NULL: the move fails. */
    void (*lost)(struct source *s);
    /* What source_cancel returns. 0: the move ends. */
    int cancel;
};

const struct stage_row *source_row(const struct source *s);

/* Is the outcome known? */
static inline bool source_is_over(const struct source *s)
{
    return s->stage == STAGE_IDLE || s->stage > STAGE_SERVE;
}

/* Is the destination still heard? Files may follow the guest. */
static inline bool source_listens(const struct source *s)
{
    return !source_is_over(s) || s->stage == STAGE_FOLLOW;
}

/* Has it said COMMIT, with no end known? It then reconnects for ever. */
static inline bool source_committed(const struct source *s)
{
    return s->stage == STAGE_COMMIT || s->stage == STAGE_SERVE;
}

/* Does it connect anew, for ever, when its connection has ended? */
static inline bool source_reconnects(const struct source *s)
{
    return source_committed(s) || s->stage == STAGE_PARTING;
}

u64 source_now(const struct source *s);

/* Log a line about the move, by pr_info or pr_warn. */
#define source_log(log, s, format, ...) \
    log("migrate: %s, epoch %lu" format, (s)->description->head.name, (s)->stats.epoch, ##__VA_ARGS__)

/* Count what was sent, by both connections. */
static inline void source_count_bytes(struct source *s)
{
    s->stats.wire_bytes = s->outbox.bytes + (s->lane ? s->lane->outbox.bytes : 0);
}

/* Enter a stage. */
void source_enter(struct source *s, enum stage stage);

/* Tell the handoff of an event, and carry out what it decides. If that ends the move, `why` is its outcome. */
void source_event(struct source *s, enum handoff_event event, u64 epoch, struct outcome why);

/* The move has failed, or is cancelled, before COMMIT; the guest goes on here. */
void source_fail(struct source *s, enum wire_code code, const char *reason);
/* End the move: every move ends by this function, once. What becomes of the guest is in the handoff's state. */
void source_end(struct source *s, struct outcome why);
/* The dirty log of a move is of no more use: do a part of ending it, while the guest runs. Returns whether it is off.
 */
bool source_stop_log(struct source *s);
/* In STAGE_END_LOG, or without a move: do that, whatever the connection does. Returns whether more is to be done. */
bool source_end_log(struct source *s);
/* Log the outcome, once: not while the guest stands, and before files follow it, which may take long. */
void source_report(struct source *s);
/* All is said: release all that the move had, and be idle. */
void source_finish(struct source *s);
/* Close the connection and free what source_start has got. */
void source_release(struct source *s);
/* The guest has its processors to itself again. */
void source_unthrottle(struct source *s);
/* Does the connection refer to memory that goes with the move? The guest's own RAM does not. */
bool source_lends(struct source *s);
/* Close the connection, if there is one. */
void source_disconnect(struct source *s);

/* The peer breaks the rules of the stream. */
void source_bad_stream(struct source *s, const char *reason);

/* The connection is lost: a move that has said COMMIT reconnects, any other fails. */
void source_link_lost(struct source *s, enum wire_code code, const char *reason);

/* The answer to the header has come; ACCEPTED has come; ROUND_DONE has come. */
void source_answered(struct source *s);
void source_accepted(struct source *s);
void source_round_done(struct source *s, const struct wire_round *answer);
/* Say the header of a connection. Say KEEPALIVE: this end lives, and has got so far. */
void source_say_header(struct source *s, struct outbox *box, enum wire_kind kind);
/* Say the header of the first connection, if it is not said yet; the next message that waits to be said (s->say);
 * either; or the last words, after which the move is over. Returns false if there is nothing to say now. */
bool source_greet(struct source *s);
bool source_say(struct source *s);
bool source_say_doubt(struct source *s);
bool source_say_last_words(struct source *s);
void source_say_keepalive(struct source *s, struct outbox *box);

/* Verification. _part: digest some of the pages that are stale; returns true when none is left. _live: the same while
 * the guest runs; returns false if there is nothing to digest now. _measure: a round is over, in which the destination
 * has digested for dest_us. _due: shall the next live round be the first one that ends with digests? That is the round
 * after which the guest would be stopped, or the last one that is allowed. */
bool source_digest_part(struct source *s);
bool source_digest_live(struct source *s);
void source_digest_measure(struct source *s, u32 dest_us);
bool source_digest_due(const struct source *s, enum policy_verdict verdict);

/* Measure guest and link. _begin: start to watch the guest. _produce: do a part of it; returns false if there is
 * nothing to do now. When all is known the forecast is made, and source_measured called. */
void source_measure_begin(struct source *s);
bool source_measure_produce(struct source *s);
void source_probe_answered(struct source *s);
void source_measured(struct source *s);

/* source_frame: make a FRAME record; returns false if there is no frame now. source_frames_come: may more of them come?
 * The guest has run there for a short time only. source_forward: as source_frame, or go on to the last words if no more
 * may come. */
bool source_frame(struct source *s);
bool source_frames_come(const struct source *s);
bool source_forward(struct source *s);

/* Files. _begin: what the guest starts from is to be sent. _file: make the next record of that. _need, _filed: NEED, or
 * FILED, has come. _follow: the outcome is known, and its frames are sent on: let the files follow, if they are to.
 * _cut_off: the same, without a connection. _unfollowed: the connection has ended before all of them have followed, or
 * can't be made again: try it again, if there is time left. */
void source_files_begin(struct source *s);
bool source_say_file(struct source *s);
void source_take_need(struct source *s);
void source_take_filed(struct source *s);
void source_follow(struct source *s);
void source_cut_off(struct source *s);
void source_unfollowed(struct source *s);
/* Cold: ask the guest to shut down, and wait for that. */
bool source_shut_down(struct source *s);

/* What a guest uses (source_used.c). _watch_begin, _watch: STAGE_WATCH; the latter returns false if there is nothing to
 * do now. _watch_fini: forget what was seen. _used_next: the page to look at next, of those in s->bitmap; s->ram.pages:
 * none from the cursor on. */
void source_watch_begin(struct source *s);
bool source_watch(struct source *s);
void source_watch_fini(struct source *s);
u64 source_used_next(struct source *s);

/* May this move be split, as far as is known? */
bool source_may_split(const struct source *s);
/* A split move. _lane_open: open the second connection, and go on to STAGE_STOP; returns false if there is nothing to
 * do now. _lane_step: do what is to be done on it. _lane_close, _lane_fini: close it; free it. */
bool source_lane_open(struct source *s);
bool source_lane_step(struct source *s);
void source_lane_close(struct source *s);
void source_lane_fini(struct source *s);
/* Make the next MISSING or ZERO record of what is left when the guest stands; *done if it was the last. */
bool source_say_missing(struct source *s, bool *done);
/* _serve: the guest runs there. _served: the destination says so, on this connection. _serve_answered: it has taken
 * more pages. _serve_produce: make the next record for it. _serve_again: another connection is up. _serve_note: note
 * how far it has come, if it is time for that. _take_missing: MISSING has come; returns whether it is well-formed. */
void source_serve(struct source *s);
void source_served(struct source *s);
void source_serve_answered(struct source *s);
bool source_serve_produce(struct source *s);
void source_serve_again(struct source *s);
void source_serve_note(struct source *s);
bool source_take_missing(struct source *s);
enum migrate_status source_serve_status(const struct source *s);

/* A protected guest. _init, _fini: all that it needs; the former returns 0 or -ENOMEM. _ask: say PROTECT; returns false
 * if that is done. _stopped: the guest stands for its first copy; contract: PROTECT_STOPPED. source_protected: that
 * copy is prepared, so the guest runs on. source_checkpoint: begin to take one, if it is time for that. source_take: do
 * a part of that. source_say_checkpoint: make the next record of it. _lost: the connection has ended. _answered:
 * ABORTED or UNKNOWN has come. _take_: these records have come. */
int source_protect_init(struct source *s);
void source_protect_fini(struct source *s);
bool source_protect_ask(struct source *s);
int source_protect_stopped(struct source *s);
void source_protected(struct source *s);
bool source_checkpoint(struct source *s);
bool source_take(struct source *s);
bool source_say_checkpoint(struct source *s);
void source_protect_lost(struct source *s);
void source_protect_answered(struct source *s, enum handoff_event event);
void source_take_protecting(struct source *s);
void source_take_checkpointed(struct source *s);

/* Make a PAGES record of the first pages of a batch, or a ZERO record of the first runs that are ascending, take these
 * out, and count what is sent. Returns false if the bandwidth does not allow that yet. */
bool source_say_pages(struct source *s, struct outbox *box, struct source_batch *batch);
bool source_say_zero(struct source *s, struct outbox *box, struct wire_run *runs, unsigned *count);

/* Add the pages at gpa to the last of these runs, or begin another one. */
void source_add_run(const struct source *s, struct wire_run *runs, unsigned *count, gpa_t gpa, u64 pages);

/* Make the next PAGES or ZERO record of the round. Returns true if it did something; *done if nothing is left of the
 * round. */
bool source_ram_produce(struct source *s, bool *done);
/* Mark all pages to be sent. */
void source_ram_all(struct source *s);
/* Do a part of the harvest: the pages written since the last one are marked to be sent, but for those that wait for the
 * last round. Returns 0: the harvest is complete; -EAGAIN: more is left; or another error of ops->harvest (vm_ops.h).
 */
int source_ram_harvest(struct source *s);

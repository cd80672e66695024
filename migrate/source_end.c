/* SPDX-License-Identifier: BSD-2-Clause */
/* How a move ends: with one outcome, in one place, which releases all that the move had. */
#include <stdio.h>
#include <stdlib.h>

#include "host/log.h"
#include "migrate/source_parts.h"

void source_disconnect(struct source *s)
{
    source_lane_close(s);
    if (s->link != LINK_NONE)
        s->transport.ops->close(&s->transport);
    s->link = LINK_NONE;
}

/* Log all stages at the end: a line in the middle of them would prolong them. */
void source_report(struct source *s)
{
    const struct migrate_phases *phases = &s->stats.phases;
    char warning[200];

    if (s->reported)
        return;
    s->reported = true;
    if (s->settings.quiet && s->stats.error)
        return;
    if (migrate_stall_warning(&s->stats, warning, sizeof(warning)))
        source_log(pr_warn, s, ": %s", warning);
    source_log(pr_info, s,
               ", %s after %lu ms: setup %lu, pre-copy %lu, stop %lu, final RAM %lu, state %lu, "
               "commitment %lu, post-copy %lu us",
               migrate_status_name(s->stats.status), (unsigned long)(s->stats.total_time / NS_PER_MS),
               phases->setup / 1000, phases->precopy / 1000, phases->stop / 1000, phases->final_ram / 1000,
               phases->device_state / 1000, phases->commit / 1000, phases->postcopy / 1000);
}

void source_release(struct source *s)
{
    source_disconnect(s);
    source_lane_fini(s);
    inbox_fini(&s->inbox);
    outbox_fini(&s->outbox);
    ram_digest_fini(&s->digest);
    source_protect_fini(s);
    file_sender_fini(&s->files);
    free(s->bitmap);
    free(s->hot);
    free(s->written);
    free(s->measure.seen);
    source_watch_fini(s);
    free(s->description);
    s->bitmap = s->hot = s->written = s->measure.seen = NULL;
    s->description = NULL;
}

void source_finish(struct source *s)
{
    /* The move may have ended before it was their turn. */
    if (s->stats.files == FILES_COMING)
        s->stats.files = FILES_FAILED;
    source_count_bytes(s);
    source_enter(s, STAGE_IDLE);
    source_report(s);
    source_release(s);
}

bool source_stop_log(struct source *s)
{
    if (s->logging)
        s->logging = !s->ops->log_stop(s->vm);
    return !s->logging;
}

bool source_end_log(struct source *s)
{
    if (!source_stop_log(s))
        return true;
    if (s->stage == STAGE_IDLE)
        return false;
    source_enter(s, STAGE_LAST_WORDS);
    if (s->link == LINK_NONE)
        source_finish(s);
    return source_active(s);
}

/* Does nothing that was said, or is half said, lie in the guest's RAM any more? */
static bool is_said(struct source *s)
{
    return outbox_empty(&s->outbox) && !s->transport.ops->unacknowledged(&s->transport);
}

bool source_lends(struct source *s)
{
    return s->protect && s->link != LINK_NONE && !is_said(s);
}

/* A destination that has not acknowledged all bytes would get what is in the guest's RAM after that is freed. One that
 * was not greeted yet takes no frames. */
static void let_go(struct source *s)
{
    if (s->link == LINK_OPEN || (s->link == LINK_GREETED && !is_said(s)))
        source_disconnect(s);
    source_lane_close(s);
    s->ops->leave(s->vm);
    s->logging = false; /* it goes with the guest */
}

void source_unthrottle(struct source *s)
{
    if (s->stats.cpu_throttle || s->stats.write_limit)
        s->ops->throttle(s->vm, 0, 0);
}

/* The guest goes where the handoff says, and has its processors to itself again. */
static void settle_guest(struct source *s)
{
    if (s->handoff.state == SOURCE_GONE) {
        let_go(s);
        return;
    }
    source_unthrottle(s);
    source_lane_close(s); /* no page is served from now on */
    if (s->handoff.state == SOURCE_SUPERSEDED)
        s->ops->stand(s->vm);
    else
        s->ops->resume(s->vm);
}

/* Before PREPARE the destination is told of a failure, in PREPARE the handoff decides what it is told; a destination
 * that was asked in doubt, or has checked, is told that this end knows the answer. */
static unsigned last_words(const struct source *s, struct outcome why)
{
    if (s->link != LINK_GREETED)
        return 0;
    if (!why.code || (source_committed(s) && s->handoff.state != SOURCE_SUPERSEDED && !(s->say & ACTION_SAY_ABORT)))
        return SAY_END;
    return s->stage < STAGE_PREPARE ? ACTION_SAY_ABORT : s->say & ACTION_SAY_ABORT;
}

/* The move is over, and now the guest has gone, too: its dirty log went with it, and perhaps the connection. */
static void cut_short(struct source *s)
{
    if (s->stage == STAGE_END_LOG)
        source_enter(s, STAGE_LAST_WORDS);
    if (s->link == LINK_NONE && source_active(s))
        source_finish(s);
}

void source_end(struct source *s, struct outcome why)
{
    struct migrate_stats *stats = &s->stats;
    bool gone = s->handoff.state == SOURCE_GONE, guarded = s->protect;

    settle_guest(s);
    if (source_is_over(s)) {
        if (gone)
            cut_short(s);
        return;
    }
    s->say = last_words(s, why);
    stats->error = why.code;
    snprintf(stats->reason, sizeof(stats->reason), "%s", why.reason);
    if ((gone || s->settings.image) && !why.code && !stats->downtime)
        stats->downtime = source_now(s) - s->stopped;
    if (gone || !why.code)
        stats->remaining = 0;
    source_enter(s, gone ? STAGE_FORWARD : s->logging ? STAGE_END_LOG : STAGE_LAST_WORDS);
    stats->total_time = s->stage_began - s->started;
    source_count_bytes(s);
    if (s->link == LINK_NONE && s->stage != STAGE_END_LOG)
        source_cut_off(s);
    if (guarded)
        s->ops->protect(s->vm, PROTECT_OVER, why.code);
}

void source_fail(struct source *s, enum wire_code code, const char *reason)
{
    struct outcome why = { code, reason };

    if (s->handoff.state == SOURCE_PREPARING)
        source_event(s, s->link != LINK_NONE ? HANDOFF_CANCEL : HANDOFF_LINK_LOST, 0, why);
    else
        source_end(s, why);
}

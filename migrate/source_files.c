/* SPDX-License-Identifier: BSD-2-Clause */
/* The files from which a guest starts: before it, if it starts anew at the destination (cold); behind it, if they are
 * to follow. And the shutdown of a guest that starts anew there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/log.h"
#include "migrate/source_parts.h"

void source_files_begin(struct source *s)
{
    file_sender_init(&s->files, s->ops->image(s->vm));
    s->files_left = ~0ULL;
    s->stats.files = FILES_COMING;
}

bool source_say_file(struct source *s)
{
    if (!file_sender_ready(&s->files) || !bucket_take(&s->bucket, WIRE_FILE_PART, source_now(s)))
        return false;
    file_sender_say(&s->files, &s->outbox);
    s->stats.file_bytes = s->files.bytes;
    if (s->settings.cold)
        s->stats.remaining = s->stats.total - s->stats.file_bytes;
    return true;
}

/* There are no more files to be sent, or none that can be. */
static void files_end(struct source *s, enum wire_code code, const char *reason)
{
    s->stats.files = code ? FILES_FAILED : FILES_THERE;
    snprintf(s->stats.files_reason, sizeof(s->stats.files_reason), "%s", reason);
    if (code)
        source_log(pr_warn, s, ": the files that it starts from are not there: %s", s->stats.files_reason);
    else
        source_log(pr_info, s, ": the files that it starts from are there, %lu bytes were sent", s->stats.file_bytes);
    if (s->stage == STAGE_FOLLOW) {
        s->say = SAY_END;
        source_enter(s, STAGE_LAST_WORDS);
    } else if (code) {
        source_fail(s, code, s->stats.files_reason);
    } else {
        source_enter(s, STAGE_SHUTDOWN);
    }
}

/* The destination has said what it needs. If that is less than before, the files get on, however often the connection
 * has ended. */
static void needed(struct source *s)
{
    u64 left = file_sender_needed(&s->files);

    if (left < s->files_left)
        s->cut_since = 0;
    s->files_left = left;
    s->stats.files_reason[0] = '\0';
    if (s->settings.cold)
        s->stats.total = s->stats.remaining = left;
}

static bool is_turn(const struct source *s)
{
    return s->stage == STAGE_FILES || s->stage == STAGE_FOLLOW;
}

void source_take_need(struct source *s)
{
    struct wire_need need;
    const char *reason;

    if (!is_turn(s) || inbox_body(&s->inbox, &need, sizeof(need))) {
        source_bad_stream(s, "NEED out of turn");
        return;
    }
    reason = file_sender_take(&s->files, &need);
    if (reason)
        files_end(s, WIRE_E_STATE, reason);
    else
        needed(s);
}

void source_take_filed(struct source *s)
{
    struct wire_filed filed;

    if (!is_turn(s) || inbox_body(&s->inbox, &filed, sizeof(filed)) ||
        (!filed.code && (!s->files.answered || file_sender_ready(&s->files)))) {
        source_bad_stream(s, "FILED out of turn");
        return;
    }
    filed.reason[sizeof(filed.reason) - 1] = '\0';
    files_end(s, filed.code, filed.reason);
}

void source_follow(struct source *s)
{
    bool follow = s->settings.follow && !s->stats.error;

    source_report(s);
    source_enter(s, follow ? STAGE_FOLLOW : STAGE_LAST_WORDS);
    if (follow && !(s->peer_features & WIRE_FEATURE_FILES))
        files_end(s, WIRE_E_FEATURE, "the destination does not know how to take them");
}

void source_cut_off(struct source *s)
{
    source_disconnect(s);
    if (s->stage == STAGE_FORWARD)
        source_follow(s);
    if (s->stage == STAGE_FOLLOW)
        source_unfollowed(s);
    else
        source_finish(s);
}

void source_unfollowed(struct source *s)
{
    static const char reason[] = "the connection has ended";
    u64 time = source_now(s);

    if (!s->cut_since) {
        s->cut_since = time;
        snprintf(s->stats.files_reason, sizeof(s->stats.files_reason), "%s", reason);
        source_log(pr_warn, s, ": %s before its files were there: connects anew", reason);
    }
    file_sender_again(&s->files);
    if (time - s->cut_since <= WIRE_FOLLOW_MS * NS_PER_MS)
        return;
    files_end(s, WIRE_E_LINK, reason);
    source_finish(s);
}

int source_send_files(struct source *s, const char *name, const struct migrate_stats *stats, u64 max_bandwidth)
{
    s->description = calloc(1, sizeof(*s->description));
    if (!s->description || inbox_init(&s->inbox, WIRE_BODY_MAX, NULL, NULL) || outbox_init(&s->outbox, WIRE_BODY_MAX)) {
        source_release(s);
        return -ENOMEM;
    }
    snprintf(s->description->head.name, WIRE_NAME, "%s", name);
    s->handoff.state = SOURCE_GONE;
    s->handoff.proposed = stats->epoch;
    s->settings = (struct migrate_settings){ .follow = true, .max_bandwidth = max_bandwidth };
    s->stats = *stats;
    s->outbox.bytes = stats->wire_bytes;
    s->peer_features = WIRE_FEATURE_FILES; /* as far as is known: its header will say */
    s->reported = true;
    s->next_try = source_now(s);
    bucket_init(&s->bucket, max_bandwidth, BURST, s->next_try);
    source_files_begin(s);
    source_enter(s, STAGE_FOLLOW);
    return 0;
}

int source_stop_files(struct source *s)
{
    if (s->stage != STAGE_FOLLOW)
        return -ENOENT;
    files_end(s, WIRE_E_CANCEL, "the operator has stopped them");
    if (s->link == LINK_NONE)
        source_finish(s);
    return 0;
}

bool source_shut_down(struct source *s)
{
    int err = s->ops->shut_down(s->vm);

    s->work++; /* it is the guest's turn: the destination must know that this end is there */
    switch (err) {
    case 0:
        s->stopped = source_now(s);
        source_enter(s, STAGE_STATE);
        return true;
    case -EAGAIN: return false;
    case -ECANCELED: source_fail(s, WIRE_E_STATE, "its guest has started anew instead of shutting down"); return true;
    default: source_fail(s, WIRE_E_TIMEOUT, "its guest has not shut down in time"); return true;
    }
}

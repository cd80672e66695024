/* SPDX-License-Identifier: BSD-2-Clause */
/* The files from which a guest starts: before it, if it starts anew at the destination (cold); behind it, if they are
 * to follow. And the shutdown of a guest that starts anew there. */
#include <errno.h>
#include <stdio.h>

#include "host/log.h"
#include "migrate/source_parts.h"

void source_files_begin(struct source *s)
{
    file_sender_init(&s->files, s->ops->image(s->vm));
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
        pr_warn("migrate: %s, epoch %lu: the files that it starts from are not there: %s", s->description->head.name,
                (unsigned long)s->stats.epoch, s->stats.files_reason);
    if (s->stage == STAGE_FOLLOW)
        source_enter(s, STAGE_LAST_WORDS);
    else if (code)
        source_fail(s, code, s->stats.files_reason);
    else
        source_enter(s, STAGE_SHUTDOWN);
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
    else if (s->settings.cold)
        s->stats.total = s->stats.remaining = file_sender_needed(&s->files);
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
    source_enter(s, s->settings.follow ? STAGE_FOLLOW : STAGE_LAST_WORDS);
    if (s->settings.follow && !(s->peer_features & WIRE_FEATURE_FILES))
        files_end(s, WIRE_E_FEATURE, "the destination does not know how to take them");
}

void source_unfollowed(struct source *s)
{
    files_end(s, WIRE_E_LINK, "the connection has ended");
    source_finish(s);
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* The files from which a guest starts: before it, if it starts anew here, or behind it. */
#include <stdio.h>

#include "host/bits.h"
#include "host/log.h"
#include "migrate/dest_parts.h"

/* Does the guest that they are for wait for them, or run here? */
static bool is_for_guest(const struct incoming *in)
{
    if (!in || !in->vm)
        return false;
    return dest_state_runs(in->handoff.state) || (in->cold && in->handoff.state == DEST_RECEIVING);
}

static const char not_for_it[] = "no guest that its files are for waits for them, or runs, there";

/* Say FILED: all files are here, or why they are not. A guest that starts anew does not come without them. */
static void filed(struct dest_session *session, enum wire_code code, const char *reason)
{
    struct incoming *in = session->incoming;

    if (code && in && in->handoff.state == DEST_RECEIVING) {
        dest_refuse(session, code, reason);
        return;
    }
    session->filed = (struct wire_filed){ .code = code };
    snprintf(session->filed.reason, sizeof(session->filed.reason), "%s", reason);
    session->say |= SAY_FILED;
    session->files_over = true;
    if (!in || in->handoff.state == DEST_RECEIVING) /* then its definition, which names them, is still to come */
        return;
    if (code && in->vm)
        dest_log(pr_warn, in, ": the files that it starts from have not come, and a reset ends it: %s", reason);
    in->follows &= code != WIRE_OK;
    in->file_bytes = 0;
    file_receiver_release(&session->files);
}

/* What has come was taken, or was refused with that code; if all files are here, that is said. A guest that runs gets
 * each as soon as it is whole: then it stays, even if the others don't come. */
static void taken(struct dest_session *session, enum wire_code code, const char *reason)
{
    struct incoming *in = session->incoming;

    if (!code && in->handoff.state != DEST_RECEIVING)
        session->dest->ops->files_here(in->vm);
    if (code || !session->files.need)
        filed(session, code, code ? reason : "");
}

/* How much more may be held for the files of this attempt: of all hosts, and of its own. */
static u64 room(const struct dest *dest, const struct incoming *in)
{
    u64 all = dest->limit ? dest->limit : ~0ULL, own = dest->limit_per_host ? dest->limit_per_host : ~0ULL;

    return MIN(all - MIN(all, dest_held(dest)), own - MIN(own, attempt_held(dest, in->peer, NULL, false)));
}

void receive_offer(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    const char *reason = not_for_it;
    struct wire_need need = { .files = 0 };
    enum wire_code code = WIRE_E_STREAM;

    if (is_for_guest(in)) {
        struct file_terms terms = { .vm_id = in->vm_id, .guest = in->name, .ram = in->ram.pages * WIRE_PAGE };

        in->file_bytes = 0;
        session->files_over = false;
        terms.room = room(session->dest, in);
        code = file_receiver_offer(&session->files, &session->inbox, &terms, &need, &reason);
    }
    if (!code) {
        session->since = dest_now(session->dest);
        in->file_bytes = file_receiver_bytes(&session->files);
        outbox_record(&session->outbox, WIRE_NEED, &need, sizeof(need));
    }
    taken(session, code, reason);
}

void receive_file(struct dest_session *session)
{
    const char *reason = not_for_it;
    u64 pages = session->inbox.len / WIRE_PAGE;
    enum wire_code code;

    if (session->files_over)
        return;
    code = is_for_guest(session->incoming) ? file_receiver_part(&session->files, &session->inbox, &reason)
                                           : WIRE_E_STREAM;
    if (code)
        taken(session, code, reason);
    else
        receive_got_on(session, pages + 1);
}

void receive_digest_of_file(struct dest_session *session)
{
    const char *reason = not_for_it;
    enum wire_code code;

    if (session->files_over)
        return;
    code = is_for_guest(session->incoming) ? file_receiver_digest(&session->files, &session->inbox, &reason)
                                           : WIRE_E_STREAM;
    taken(session, code, reason);
}

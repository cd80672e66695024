/* SPDX-License-Identifier: BSD-2-Clause */
/* Prepared copies whose connection has ended, and what other machines on the link say of the guests that come here. */
#include <errno.h>
#include <string.h>

#include "host/log.h"
#include "migrate/dest_parts.h"

static bool prepared(const struct incoming *in)
{
    return in->used && in->handoff.state == DEST_PREPARED;
}

static bool stranded(const struct incoming *in)
{
    return prepared(in) && !in->session;
}

static void strand_end(struct dest *dest, struct incoming *in, enum handoff_event event, enum wire_code code,
                       const char *reason)
{
    dest_log(pr_warn, in, ", is freed: %s", reason);
    dest_event(dest, in, event, 0, (struct outcome){ code, reason });
}

const struct incoming *dest_stranded(const struct dest *dest, const void *vm)
{
    const struct incoming *in = dest_find(dest, vm, DEST_PREPARED);

    return in && stranded(in) ? in : NULL;
}

static void adopt(struct dest *dest, struct incoming *in)
{
    dest_event(dest, in, HANDOFF_ADOPT, 0, outcome_completed);
    dest_log(pr_warn, in, ", is adopted: it runs here by the operator's word");
}

int dest_resolve(struct dest *dest, void *vm, bool adopted)
{
    struct incoming *in = (struct incoming *)dest_stranded(dest, vm);

    if (!in)
        return -ENOENT;
    if (adopted && in->handoff.split)
        return -EBUSY;
    if (adopted && in->protect)
        dest_protect(dest, vm, PROTECT_ADOPT);
    else if (adopted)
        adopt(dest, in);
    else if (in->protect) /* by its guard, which may have decided already that it runs here */
        dest_event(dest, in, HANDOFF_CANCEL, 0, outcome_completed);
    else
        strand_end(dest, in, HANDOFF_CANCEL, WIRE_E_CANCEL, "the operator has given it up");
    dest_settle(dest, in->vm_id);
    return !adopted && prepared(in) ? -EBUSY : 0;
}

void dest_free_stranded(struct dest *dest, struct incoming *in)
{
    strand_end(dest, in, HANDOFF_CANCEL, WIRE_E_MEMORY, "its memory is needed for another guest");
}

/* Does the copy's source own the VM again? Then it has not said COMMIT, or was told by force to go on. */
static bool owner_is_back(const struct dest *dest, const struct incoming *in, const struct wire_claim *claim)
{
    return stranded(in) && claim->owner == in->owner && claim->epoch < in->handoff.epoch &&
           dest_now(dest) - in->stats.prepared > WIRE_HEARD_MS * NS_PER_MS;
}

void dest_heard(struct dest *dest, const struct wire_claim *claim)
{
    const struct outcome higher = { WIRE_E_REPLAY, "another machine owns it under a higher epoch" };

    each_attempt (in, dest) {
        if (!in->used || memcmp(in->vm_id, claim->vm_id, WIRE_ID) != 0)
            continue;
        if (owner_is_back(dest, in, claim) && in->protect)
            protect_heard(dest, in);
        else if (owner_is_back(dest, in, claim))
            strand_end(dest, in, HANDOFF_OWNER_HEARD, WIRE_E_LINK, "its source runs it again");
        else
            dest_event(dest, in, HANDOFF_HIGHER_EPOCH, claim->epoch, higher);
    }
}

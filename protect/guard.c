/* SPDX-License-Identifier: BSD-2-Clause */
/* The first row that fits an event decides; an event without a row changes nothing. */
#include "protect/guard.h"

#include "host/bits.h"

/* What must be so for a row to fit: all of these facts. */
enum fact {
    ALWAYS = 0,
    WITNESS = 1 << 0,
    NO_WITNESS = 1 << 1,
    UNASKED = 1 << 2,
    DONE = 1 << 3,    /* the deed is what this state asks for */
    MINE = 1 << 4,    /* its owner is this machine, or there is none, and its epoch is not above ours */
    OTHERS = 1 << 5,  /* its owner is another machine */
    PAIR = 1 << 6,    /* it names the other machine as owner and this one as secondary, under our epoch */
    NOT_YET = 1 << 7, /* there is no deed, or it is one of the two's of an earlier epoch: the join may be on its way, or
                       * the witness has forgotten it */
};

#define ALONE_AGAIN (GUARD_DO_OPEN | GUARD_DO_RUN | GUARD_DO_SAY_ABORT)
#define PART (GUARD_DO_ASK | GUARD_DO_SAY_QUERY)
#define LOSE (GUARD_DO_STAND | GUARD_DO_DROP)
#define GIVE_WAY (GUARD_DO_FREE | GUARD_DO_SAY_ABORTED)

static const struct row {
    enum guard_state state;
    enum guard_event event;
    unsigned facts;
    enum guard_state next;
    unsigned actions;
} rows[] = {
    { GUARD_ALONE, GUARD_STOPPED, ALWAYS, GUARD_JOINING, GUARD_DO_HOLD },

    { GUARD_JOINING, GUARD_PREPARED, WITNESS, GUARD_JOINING, GUARD_DO_ASK },
    { GUARD_JOINING, GUARD_PREPARED, NO_WITNESS, GUARD_PROTECTED, 0 },
    { GUARD_JOINING, GUARD_DEED, DONE, GUARD_PROTECTED, 0 },
    { GUARD_JOINING, GUARD_DEED, MINE, GUARD_JOINING, GUARD_DO_ASK },
    { GUARD_JOINING, GUARD_DEED, OTHERS, GUARD_LOST, LOSE },
    { GUARD_JOINING, GUARD_SILENT, UNASKED, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_JOINING, GUARD_LINK_LOST, UNASKED, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_JOINING, GUARD_LEAVE, UNASKED, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_JOINING, GUARD_ABORTED, UNASKED, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_JOINING, GUARD_SILENT, ALWAYS, GUARD_PARTING, PART },
    { GUARD_JOINING, GUARD_LINK_LOST, ALWAYS, GUARD_PARTING, PART },
    { GUARD_JOINING, GUARD_LEAVE, ALWAYS, GUARD_PARTING, PART },
    { GUARD_JOINING, GUARD_ABORTED, ALWAYS, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_JOINING, GUARD_OVERRULED, ALWAYS, GUARD_LOST, LOSE },

    { GUARD_PROTECTED, GUARD_CHECKPOINTED, ALWAYS, GUARD_PROTECTED, GUARD_DO_RELEASE },
    { GUARD_PROTECTED, GUARD_LAST, ALWAYS, GUARD_HANDED, GUARD_DO_SAY_COMMIT },
    { GUARD_PROTECTED, GUARD_ABORTED, ALWAYS, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PROTECTED, GUARD_RUNNING, ALWAYS, GUARD_LOST, LOSE },
    { GUARD_PROTECTED, GUARD_OVERRULED, ALWAYS, GUARD_LOST, LOSE },
    { GUARD_PROTECTED, GUARD_SILENT, WITNESS, GUARD_PARTING, PART },
    { GUARD_PROTECTED, GUARD_LINK_LOST, WITNESS, GUARD_PARTING, PART },
    { GUARD_PROTECTED, GUARD_STALLED, WITNESS, GUARD_PARTING, PART },
    { GUARD_PROTECTED, GUARD_LEAVE, WITNESS, GUARD_PARTING, PART },
    { GUARD_PROTECTED, GUARD_SILENT, NO_WITNESS, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PROTECTED, GUARD_LINK_LOST, NO_WITNESS, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PROTECTED, GUARD_STALLED, NO_WITNESS, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PROTECTED, GUARD_LEAVE, NO_WITNESS, GUARD_ALONE, ALONE_AGAIN },

    { GUARD_PARTING, GUARD_DEED, DONE, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PARTING, GUARD_DEED, MINE, GUARD_PARTING, GUARD_DO_ASK },
    { GUARD_PARTING, GUARD_DEED, OTHERS, GUARD_LOST, LOSE },
    { GUARD_PARTING, GUARD_ABORTED, ALWAYS, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PARTING, GUARD_FORCE, ALWAYS, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PARTING, GUARD_RUNNING, ALWAYS, GUARD_LOST, LOSE },
    { GUARD_PARTING, GUARD_OVERRULED, ALWAYS, GUARD_LOST, LOSE },
    { GUARD_PARTING, GUARD_CHECKPOINTED, ALWAYS, GUARD_PARTING, GUARD_DO_RELEASE },
    { GUARD_PARTING, GUARD_WAITED, ALWAYS, GUARD_PARTING, GUARD_DO_PAUSE },

    { GUARD_HANDED, GUARD_RUNNING, ALWAYS, GUARD_GONE, GUARD_DO_DROP },
    { GUARD_HANDED, GUARD_ABORTED, ALWAYS, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_HANDED, GUARD_FORCE, ALWAYS, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_HANDED, GUARD_OVERRULED, ALWAYS, GUARD_LOST, LOSE },
    { GUARD_HANDED, GUARD_SILENT, WITNESS, GUARD_PARTING, PART },
    { GUARD_HANDED, GUARD_LINK_LOST, WITNESS, GUARD_PARTING, PART },
    { GUARD_HANDED, GUARD_WAITED, WITNESS, GUARD_PARTING, PART },

    /* The driver leaves LOST, TAKEN and GONE to the ends of the stream: these rows say what is right there. */
    { GUARD_LOST, GUARD_FORCE, ALWAYS, GUARD_ALONE, GUARD_DO_RUN },

    { GUARD_STANDBY, GUARD_CHECKPOINT, ALWAYS, GUARD_STANDBY, GUARD_DO_SAY_CHECKPOINTED },
    { GUARD_STANDBY, GUARD_SILENT, WITNESS, GUARD_ASKING, GUARD_DO_CLOSE | GUARD_DO_ASK },
    { GUARD_STANDBY, GUARD_COMMIT, WITNESS, GUARD_ASKING, GUARD_DO_CLOSE | GUARD_DO_ASK },
    { GUARD_STANDBY, GUARD_COMMIT, NO_WITNESS, GUARD_TAKEN, GUARD_DO_ADOPT },
    { GUARD_STANDBY, GUARD_FORCE, ALWAYS, GUARD_TAKEN, GUARD_DO_ADOPT },
    { GUARD_STANDBY, GUARD_ABORT, ALWAYS, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_QUERY, ALWAYS, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_LEAVE, ALWAYS, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_GIVE_UP, ALWAYS, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_OWNER_HEARD, NO_WITNESS, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_OVERRULED, NO_WITNESS, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_OVERRULED, WITNESS, GUARD_ASKING, GUARD_DO_CLOSE | GUARD_DO_ASK },

    { GUARD_ASKING, GUARD_DEED, DONE, GUARD_TAKEN, GUARD_DO_ADOPT },
    { GUARD_ASKING, GUARD_DEED, PAIR, GUARD_ASKING, GUARD_DO_ASK },
    { GUARD_ASKING, GUARD_DEED, NOT_YET, GUARD_ASKING, GUARD_DO_READ },
    { GUARD_ASKING, GUARD_DEED, ALWAYS, GUARD_GONE, GIVE_WAY },
    { GUARD_ASKING, GUARD_FORCE, ALWAYS, GUARD_TAKEN, GUARD_DO_ADOPT },
    { GUARD_ASKING, GUARD_GIVE_UP, ALWAYS, GUARD_GONE, GUARD_DO_FREE },
    { GUARD_ASKING, GUARD_ABORT, UNASKED, GUARD_GONE, GIVE_WAY },
    { GUARD_ASKING, GUARD_QUERY, UNASKED, GUARD_GONE, GIVE_WAY },
    { GUARD_ASKING, GUARD_ABORT, ALWAYS, GUARD_ASKING, GUARD_DO_SAY_PREPARED },
    { GUARD_ASKING, GUARD_QUERY, ALWAYS, GUARD_ASKING, GUARD_DO_SAY_PREPARED },

    { GUARD_TAKEN, GUARD_ABORT, ALWAYS, GUARD_TAKEN, GUARD_DO_SAY_RUNNING },
    { GUARD_TAKEN, GUARD_QUERY, ALWAYS, GUARD_TAKEN, GUARD_DO_SAY_RUNNING },
    { GUARD_TAKEN, GUARD_COMMIT, ALWAYS, GUARD_TAKEN, GUARD_DO_SAY_RUNNING },
};

void guard_init(struct guard *guard, enum guard_state state, bool witness, u64 epoch, const struct deed_host *me,
                const struct deed_host *other)
{
    *guard = (struct guard){ .state = state, .witness = witness, .epoch = epoch, .me = *me, .other = *other };
}

struct deed guard_wanted(const struct guard *guard)
{
    struct deed deed = { .present = true, .owner = guard->me, .epoch = guard->epoch };

    if (guard->state == GUARD_JOINING)
        deed.secondary = guard->other;
    return deed;
}

static unsigned facts_of(const struct guard *guard, const struct deed *deed)
{
    unsigned facts = (guard->witness ? WITNESS : NO_WITNESS) | (guard->asked ? 0 : UNASKED);
    struct deed wanted = guard_wanted(guard);
    struct deed pair = { .present = true, .owner = guard->other, .secondary = guard->me, .epoch = guard->epoch };
    bool third;

    if (!deed)
        return facts;
    third = deed->owner.owner != guard->me.owner && deed->owner.owner != guard->other.owner;
    if (deed_equal(deed, &wanted))
        facts |= DONE;
    if (deed_equal(deed, &pair))
        facts |= PAIR;
    if (!deed->present || (!third && deed->epoch < guard->epoch))
        facts |= NOT_YET;
    if (!deed->present || (deed->owner.owner == guard->me.owner && deed->epoch <= guard->epoch))
        facts |= MINE;
    if (deed->present && deed->owner.owner != guard->me.owner)
        facts |= OTHERS;
    return facts;
}

unsigned guard_event(struct guard *guard, enum guard_event event, const struct deed *deed)
{
    unsigned facts = facts_of(guard, deed);

    if (event == GUARD_SENT)
        guard->asked = true;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *row = &rows[i];

        if (row->state != guard->state || row->event != event || (row->facts & facts) != row->facts)
            continue;
        if (row->next != guard->state)
            guard->asked = false;
        guard->state = row->next;
        return row->actions;
    }
    return 0;
}

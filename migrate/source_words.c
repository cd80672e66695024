/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of the handoff that the source says, and its last words. */
#include "host/bits.h"
#include "migrate/source_parts.h"

/*
 * How long the guest has stood: with PREPARE, by now; with other messages, when they are heard, half a round trip
 * later. The destination takes the larger of what PREPARE and COMMIT make. If both included a guess of a way that takes
 * now more time, now less, each move would set the guest's clocks forward by the difference.
 */
static u64 paused_for(const struct source *s, u32 type)
{
    u64 way = type == WIRE_PREPARE ? 0 : s->stats.rtt / 2;

    return s->stopped ? source_now(s) - s->stopped + way : 0;
}

/* Make one of the messages that wait. */
bool source_say(struct source *s)
{
    static const struct {
        unsigned action;
        u32 type;
    } says[] = {
        { ACTION_SAY_PREPARE, WIRE_PREPARE },
        { ACTION_SAY_COMMIT, WIRE_COMMIT },
        { ACTION_SAY_QUERY, WIRE_QUERY },
        { ACTION_SAY_ABORT, WIRE_ABORT },
        { SAY_END, WIRE_END },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(says); i++) {
        struct wire_handoff message = {
            .epoch = s->stats.epoch,
            .code = s->stats.error,
            .wish = says[i].type == WIRE_QUERY ? WIRE_WISH_ABORT : 0,
            .paused_ns = paused_for(s, says[i].type),
            .state_digest = s->state_digest,
            .memory_digest = s->digest.sum,
        };

        if (!(s->say & says[i].action))
            continue;
        s->say &= ~says[i].action;
        outbox_record(&s->outbox, says[i].type, &message, says[i].type == WIRE_END ? 0 : sizeof(message));
        return true;
    }
    return false;
}

bool source_say_doubt(struct source *s)
{
    return source_greet(s) || source_say(s);
}

bool source_say_last_words(struct source *s)
{
    if (source_say(s))
        return true;
    if (!source_lends(s))
        source_finish(s);
    return false;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Beside the model of failover.pml run two guards of protect/guard.c, in all that the model can come to. Each event of
 * the model is told to them, and they must come to the same state, with the same actions. A guard ends when its machine
 * is alone or has taken the guest, has lost it, or has no copy any more. Beside the guard of a primary runs its handoff,
 * owners/handoff.c, which gets what the driver makes of each event: so a move that stands at PREPARED while it protects
 * (SOURCE_PROTECTED) is here, and not in handoff.pml. With -DIN_C; without it these macros are nothing.
 */
#define C_OFF 15
#ifdef IN_C
c_decl {
\#include "owners/handoff.h"
\#include "protect/guard.h"
}

c_state "struct guard c_guard[2]" "Global"
c_state "struct handoff_source c_source[2]" "Global"

byte c_state_of[2] = C_OFF; /* C_OFF: there is no guard here */
byte c_h;                   /* of the machine to which the next event comes */
bool c_differs = false;     /* other actions, or another state at its end */

#ifdef NO_WITNESS
#define C_WITNESS false
#else
#define C_WITNESS true
#endif

c_code {
static struct deed_host c_host(unsigned number)
{
    return (struct deed_host){ .owner = number + 1 };
}

/* The model's deed: a secondary that is the owner is none. */
static struct deed c_deed(void)
{
    unsigned owner = now.deed / 4 % 4, secondary = now.deed % 4;
    struct deed deed = { .present = true, .owner = c_host(owner), .epoch = now.deed / 16 };

    if (secondary != owner)
        deed.secondary = c_host(secondary);
    return deed;
}

static void c_begin(enum guard_state state)
{
    struct deed_host me = c_host(now.c_h + 2 * now.boots[now.c_h]), other = c_host(now.pair[now.c_h]);

    guard_init(&now.c_guard[now.c_h], state, C_WITNESS, now.epoch[now.c_h], &me, &other);
    now.c_state_of[now.c_h] = state;
    if (state != GUARD_ALONE)
        return;
    handoff_source_init(&now.c_source[now.c_h], now.own[now.c_h]);
    now.c_source[now.c_h].proposed = now.epoch[now.c_h] - 1;
    handoff_propose(&now.c_source[now.c_h]);
    now.c_source[now.c_h].protect = true;
}

static void c_end(void)
{
    memset(&now.c_source[now.c_h], 0, sizeof(now.c_source[now.c_h]));
    memset(&now.c_guard[now.c_h], 0, sizeof(now.c_guard[now.c_h]));
    now.c_state_of[now.c_h] = C_OFF;
}

/* What else makes a primary leave has the same actions as a silence; 0: not all of it has. */
static unsigned c_others(const struct guard *guard)
{
    static const enum guard_event events[] = { GUARD_LINK_LOST, GUARD_LEAVE, GUARD_STALLED };
    unsigned actions = 0;

    for (int i = 0; i < 2 + (guard->state == GUARD_PROTECTED); i++) {
        struct guard other = *guard, silent = *guard;
        unsigned done = guard_event(&other, events[i], NULL);

        actions = guard_event(&silent, GUARD_SILENT, NULL);
        if (done != actions || other.state != silent.state)
            return 0;
    }
    return actions;
}

/* What the driver tells the handoff, in the order of the events; silence, waiting and deeds by what the guard does. */
static void c_handoff(enum guard_event event, enum guard_state before, enum guard_state after)
{
    struct handoff_source *source = &now.c_source[now.c_h];
    u64 epoch = now.epoch[now.c_h], heard = now.own[1 - now.c_h];
    bool parts = before != GUARD_PARTING && after == GUARD_PARTING;

    if (event == GUARD_STOPPED || event == GUARD_LAST)
        handoff_source_event(source, HANDOFF_READY, 0);
    else if (event == GUARD_PREPARED)
        handoff_source_event(source, HANDOFF_PREPARED, epoch);
    else if (event == GUARD_OVERRULED)
        handoff_source_event(source, HANDOFF_HIGHER_EPOCH, heard);
    else if (event == GUARD_FORCE)
        handoff_source_event(source, HANDOFF_FORCE_RESUME, 1);
    else if (event == GUARD_ABORTED)
        handoff_source_event(source, HANDOFF_ABORTED, epoch);
    if (event == GUARD_RUNNING || (event == GUARD_DEED && after == GUARD_LOST))
        handoff_source_event(source, HANDOFF_RUNNING, epoch);
    if (parts || (after == GUARD_ALONE && source->state == SOURCE_PREPARING))
        handoff_source_event(source, HANDOFF_CANCEL, 0);
    if (after == GUARD_ALONE && source->state != SOURCE_OWNER)
        handoff_source_event(source, HANDOFF_ALONE, 0);
}

/* Has the handoff come to what it is to be in this state of the guard? */
static bool c_agrees(enum guard_state state)
{
    const struct handoff_source *source = &now.c_source[now.c_h];

    switch (state) {
    case GUARD_ALONE: return source->state == SOURCE_OWNER;
    case GUARD_JOINING:
        return source->state == (now.ready[now.c_h] ? SOURCE_PROTECTED : SOURCE_PREPARING) && !source->abort;
    case GUARD_PROTECTED: return source->state == SOURCE_PROTECTED && !source->abort;
    case GUARD_PARTING: return source_holds(source) && source->state != SOURCE_SUPERSEDED && source->abort;
    case GUARD_HANDED: return source->state == SOURCE_IN_DOUBT && !source->abort;
    case GUARD_LOST: return source->state == SOURCE_SUPERSEDED;
    case GUARD_GONE: return source->state == SOURCE_GONE;
    default: return true;
    }
}

static void c_event(enum guard_event event, unsigned actions)
{
    struct guard *guard = &now.c_guard[now.c_h];
    enum guard_state before = guard->state;
    struct deed deed = c_deed();

    now.c_differs |= event == GUARD_SILENT && guard->state < GUARD_STANDBY && c_others(guard) != actions;
    now.c_differs |= guard_event(guard, event, event == GUARD_DEED ? &deed : NULL) != actions;
    now.c_state_of[now.c_h] = guard->state;
    if (before >= GUARD_STANDBY)
        return;
    c_handoff(event, before, guard->state);
    now.c_differs |= !c_agrees(guard->state);
}

/* This event ends the guard, in that state. */
static void c_last(enum guard_event event, unsigned actions, enum guard_state state)
{
    c_event(event, actions);
    now.c_differs |= now.c_guard[now.c_h].state != state;
    c_end();
}

#define ALONE_AGAIN (GUARD_DO_OPEN | GUARD_DO_RUN | GUARD_DO_SAY_ABORT)
#define PART (GUARD_DO_ASK | GUARD_DO_SAY_QUERY)
#define LOSE (GUARD_DO_STAND | GUARD_DO_DROP)
#define TAKE_LEAVE (GUARD_DO_CLOSE | GUARD_DO_ASK)
#define GIVE_WAY (GUARD_DO_FREE | GUARD_DO_SAY_ABORTED)
}

#define C_AT(h, code) c_h = h; c_code { code; }; c_h = 0;
#define C_BEGIN(h, state) C_AT(h, c_begin(GUARD_##state))
#define C_EVENT(h, event, actions) C_AT(h, c_event(GUARD_##event, actions))
#define C_LAST(h, event, actions, state) C_AT(h, c_last(GUARD_##event, actions, GUARD_##state))
#define C_END(h) C_AT(h, c_end())

#define SAME(h, state, number) ((guard[h] == state) == (c_state_of[h] == number))
#define AS_IN_C(h) (SAME(h, GUARD_JOINING, 1) && SAME(h, GUARD_PROTECTED, 2) && SAME(h, GUARD_PARTING, 3) && \
                    SAME(h, GUARD_HANDED, 4) && SAME(h, GUARD_STANDBY, 6) && SAME(h, GUARD_ASKING, 7))

ltl as_in_c { [] (!c_differs && AS_IN_C(0) && AS_IN_C(1)) }
#else
#define C_BEGIN(h, state)
#define C_EVENT(h, event, actions)
#define C_LAST(h, event, actions, state)
#define C_END(h)
#endif

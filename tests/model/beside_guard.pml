/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Beside the model of failover.pml run two guards of protect/guard.c, in all that the model can come to. Each event of
 * the model is told to them, and they must come to the same state, with the same actions. A guard ends when its machine
 * is alone or has taken the guest, has lost it, or has no copy any more. With -DIN_C; without it these macros are
 * nothing.
 */
#define C_OFF 15
#ifdef IN_C
c_decl {
\#include "protect/guard.h"
}

c_state "struct guard c_guard[2]" "Global"

byte c_state_of[2] = C_OFF; /* C_OFF: there is no guard here */
byte c_h;                   /* of the machine to which the next event comes */
bool c_differs = false;     /* other actions, or another state at its end */

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

    guard_init(&now.c_guard[now.c_h], state, true, now.epoch[now.c_h], &me, &other);
    now.c_state_of[now.c_h] = state;
}

static void c_end(void)
{
    memset(&now.c_guard[now.c_h], 0, sizeof(now.c_guard[now.c_h]));
    now.c_state_of[now.c_h] = C_OFF;
}

static void c_event(enum guard_event event, unsigned actions)
{
    struct guard *guard = &now.c_guard[now.c_h];
    struct deed deed = c_deed();

    now.c_differs |= guard_event(guard, event, event == GUARD_DEED ? &deed : NULL) != actions;
    now.c_state_of[now.c_h] = guard->state;
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

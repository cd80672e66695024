/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: protect/guard.c protect/deed.c config/netaddr.c */
/* The guards, transition by transition, and two of them with a witness in many random courses; tests/model tries all
 * courses of a smaller world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/bits.h"
#include "protect/guard.h"

#define E 7
#define NR_STATES (GUARD_GONE + 1)

static const struct deed_host a = { 0xA, { 192, 0, 2, 10 }, 4900 }, b = { 0xB, { 192, 0, 2, 11 }, 4900 },
                              c = { 0xC, { 192, 0, 2, 12 }, 4900 }, none;

static struct deed deed_of(struct deed_host owner, struct deed_host secondary, u64 epoch)
{
    return (struct deed){ true, owner, secondary, epoch };
}

static bool is_primary(enum guard_state state)
{
    return state <= GUARD_LOST;
}

/* A primary is a, a secondary b. */
static struct guard in_state(enum guard_state state, bool witness, bool asked)
{
    struct guard guard;

    if (is_primary(state))
        guard_init(&guard, state, witness, E, &a, &b);
    else
        guard_init(&guard, state, witness, E, &b, &a);
    guard.asked = asked;
    return guard;
}

enum { BOTH = 2 };

/* Rows of the tables in docs/failover-protocol.md, "The guards". witness, asked: false, true or BOTH. */
struct transition {
    enum guard_state state;
    enum guard_event event;
    unsigned witness, asked;
    enum guard_state next;
    unsigned actions;
};

#define ALONE_AGAIN (GUARD_DO_OPEN | GUARD_DO_RUN | GUARD_DO_SAY_ABORT)
#define PART (GUARD_DO_ASK | GUARD_DO_SAY_QUERY)
#define LOSE (GUARD_DO_STAND | GUARD_DO_DROP)
#define GIVE_WAY (GUARD_DO_FREE | GUARD_DO_SAY_ABORTED)
#define ASK_CLOSED (GUARD_DO_CLOSE | GUARD_DO_ASK)

static const struct transition transitions[] = {
    { GUARD_ALONE, GUARD_STOPPED, BOTH, BOTH, GUARD_JOINING, GUARD_DO_HOLD },
    { GUARD_JOINING, GUARD_PREPARED, true, BOTH, GUARD_JOINING, GUARD_DO_ASK },
    { GUARD_JOINING, GUARD_PREPARED, false, BOTH, GUARD_PROTECTED, 0 },
    { GUARD_JOINING, GUARD_SILENT, BOTH, false, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_JOINING, GUARD_LINK_LOST, BOTH, false, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_JOINING, GUARD_LEAVE, BOTH, false, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_JOINING, GUARD_SILENT, BOTH, true, GUARD_PARTING, PART },
    { GUARD_JOINING, GUARD_LINK_LOST, BOTH, true, GUARD_PARTING, PART },
    { GUARD_JOINING, GUARD_LEAVE, BOTH, true, GUARD_PARTING, PART },
    { GUARD_JOINING, GUARD_ABORTED, BOTH, BOTH, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_JOINING, GUARD_OVERRULED, BOTH, BOTH, GUARD_LOST, LOSE },
    { GUARD_PROTECTED, GUARD_CHECKPOINTED, BOTH, BOTH, GUARD_PROTECTED, GUARD_DO_RELEASE },
    { GUARD_PROTECTED, GUARD_LAST, BOTH, BOTH, GUARD_HANDED, GUARD_DO_SAY_COMMIT },
    { GUARD_PROTECTED, GUARD_SILENT, true, BOTH, GUARD_PARTING, PART },
    { GUARD_PROTECTED, GUARD_LINK_LOST, true, BOTH, GUARD_PARTING, PART },
    { GUARD_PROTECTED, GUARD_STALLED, true, BOTH, GUARD_PARTING, PART },
    { GUARD_PROTECTED, GUARD_LEAVE, true, BOTH, GUARD_PARTING, PART },
    { GUARD_PROTECTED, GUARD_SILENT, false, BOTH, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PROTECTED, GUARD_LINK_LOST, false, BOTH, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PROTECTED, GUARD_STALLED, false, BOTH, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PROTECTED, GUARD_LEAVE, false, BOTH, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PROTECTED, GUARD_ABORTED, BOTH, BOTH, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PROTECTED, GUARD_RUNNING, BOTH, BOTH, GUARD_LOST, LOSE },
    { GUARD_PROTECTED, GUARD_OVERRULED, BOTH, BOTH, GUARD_LOST, LOSE },
    { GUARD_PARTING, GUARD_ABORTED, BOTH, BOTH, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PARTING, GUARD_FORCE, BOTH, BOTH, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_PARTING, GUARD_RUNNING, BOTH, BOTH, GUARD_LOST, LOSE },
    { GUARD_PARTING, GUARD_OVERRULED, BOTH, BOTH, GUARD_LOST, LOSE },
    { GUARD_PARTING, GUARD_CHECKPOINTED, BOTH, BOTH, GUARD_PARTING, GUARD_DO_RELEASE },
    { GUARD_PARTING, GUARD_WAITED, BOTH, BOTH, GUARD_PARTING, GUARD_DO_PAUSE },
    { GUARD_HANDED, GUARD_RUNNING, BOTH, BOTH, GUARD_GONE, GUARD_DO_DROP },
    { GUARD_HANDED, GUARD_ABORTED, BOTH, BOTH, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_HANDED, GUARD_FORCE, BOTH, BOTH, GUARD_ALONE, ALONE_AGAIN },
    { GUARD_HANDED, GUARD_OVERRULED, BOTH, BOTH, GUARD_LOST, LOSE },
    { GUARD_HANDED, GUARD_SILENT, true, BOTH, GUARD_PARTING, PART },
    { GUARD_HANDED, GUARD_LINK_LOST, true, BOTH, GUARD_PARTING, PART },
    { GUARD_HANDED, GUARD_WAITED, true, BOTH, GUARD_PARTING, PART },
    { GUARD_LOST, GUARD_FORCE, BOTH, BOTH, GUARD_ALONE, GUARD_DO_RUN },
    { GUARD_STANDBY, GUARD_CHECKPOINT, BOTH, BOTH, GUARD_STANDBY, GUARD_DO_SAY_CHECKPOINTED },
    { GUARD_STANDBY, GUARD_SILENT, true, BOTH, GUARD_ASKING, ASK_CLOSED },
    { GUARD_STANDBY, GUARD_COMMIT, true, BOTH, GUARD_ASKING, ASK_CLOSED },
    { GUARD_STANDBY, GUARD_COMMIT, false, BOTH, GUARD_TAKEN, GUARD_DO_ADOPT },
    { GUARD_STANDBY, GUARD_FORCE, BOTH, BOTH, GUARD_TAKEN, GUARD_DO_ADOPT },
    { GUARD_STANDBY, GUARD_ABORT, BOTH, BOTH, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_QUERY, BOTH, BOTH, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_LEAVE, BOTH, BOTH, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_GIVE_UP, BOTH, BOTH, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_OWNER_HEARD, false, BOTH, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_OVERRULED, false, BOTH, GUARD_GONE, GIVE_WAY },
    { GUARD_STANDBY, GUARD_OVERRULED, true, BOTH, GUARD_ASKING, ASK_CLOSED },
    { GUARD_ASKING, GUARD_FORCE, BOTH, BOTH, GUARD_TAKEN, GUARD_DO_ADOPT },
    { GUARD_ASKING, GUARD_GIVE_UP, BOTH, BOTH, GUARD_GONE, GUARD_DO_FREE },
    { GUARD_ASKING, GUARD_ABORT, BOTH, false, GUARD_GONE, GIVE_WAY },
    { GUARD_ASKING, GUARD_QUERY, BOTH, false, GUARD_GONE, GIVE_WAY },
    { GUARD_ASKING, GUARD_ABORT, BOTH, true, GUARD_ASKING, GUARD_DO_SAY_PREPARED },
    { GUARD_ASKING, GUARD_QUERY, BOTH, true, GUARD_ASKING, GUARD_DO_SAY_PREPARED },
    { GUARD_TAKEN, GUARD_ABORT, BOTH, BOTH, GUARD_TAKEN, GUARD_DO_SAY_RUNNING },
    { GUARD_TAKEN, GUARD_QUERY, BOTH, BOTH, GUARD_TAKEN, GUARD_DO_SAY_RUNNING },
    { GUARD_TAKEN, GUARD_COMMIT, BOTH, BOTH, GUARD_TAKEN, GUARD_DO_SAY_RUNNING },
};

static struct transition expected(enum guard_state state, enum guard_event event, bool witness, bool asked)
{
    for (unsigned i = 0; i < ARRAY_SIZE(transitions); i++) {
        const struct transition *t = &transitions[i];

        if (t->state == state && t->event == event && (t->witness == BOTH || t->witness == witness) &&
            (t->asked == BOTH || t->asked == asked))
            return *t;
    }
    return (struct transition){ .next = state };
}

/* Every event in every state; what the tables do not name changes nothing. */
static void test_transitions(void **state)
{
    (void)state;
    for (enum guard_state from = 0; from < NR_STATES; from++)
        for (enum guard_event event = 0; event < NR_GUARD_EVENTS; event++)
            for (unsigned flags = 0; flags < 4; flags++) {
                bool witness = flags & 1, asked = flags & 2;
                struct guard guard = in_state(from, witness, asked);
                struct transition t = expected(from, event, witness, asked);

                if (event == GUARD_DEED)
                    continue;
                assert_int_equal(guard_event(&guard, event, NULL), t.actions);
                assert_int_equal(guard.state, t.next);
                assert_int_equal(guard.asked, t.next == from && (asked || event == GUARD_SENT));
            }
}

/* What each deed means. */
static void test_deeds(void **state)
{
    const struct {
        enum guard_state state;
        struct deed deed;
        enum guard_state next;
        unsigned actions;
    } cases[] = {
        { GUARD_JOINING, deed_of(a, b, E), GUARD_PROTECTED, 0 },
        { GUARD_JOINING, deed_of(a, none, E - 1), GUARD_JOINING, GUARD_DO_ASK },
        { GUARD_JOINING, { .present = false }, GUARD_JOINING, GUARD_DO_ASK },
        { GUARD_JOINING, deed_of(b, none, E), GUARD_LOST, LOSE },
        { GUARD_JOINING, deed_of(c, none, 1), GUARD_LOST, LOSE },
        { GUARD_JOINING, deed_of(a, none, E + 1), GUARD_JOINING, 0 }, /* its epoch would go down */
        { GUARD_PARTING, deed_of(a, none, E), GUARD_ALONE, ALONE_AGAIN },
        { GUARD_PARTING, deed_of(a, none, E - 1), GUARD_PARTING, GUARD_DO_ASK },
        { GUARD_PARTING, deed_of(a, b, E), GUARD_PARTING, GUARD_DO_ASK },
        { GUARD_PARTING, { .present = false }, GUARD_PARTING, GUARD_DO_ASK },
        { GUARD_PARTING, deed_of(b, none, E), GUARD_LOST, LOSE },
        { GUARD_PARTING, deed_of(a, none, E + 1), GUARD_PARTING, 0 },
        { GUARD_ASKING, deed_of(b, none, E), GUARD_TAKEN, GUARD_DO_ADOPT },
        { GUARD_ASKING, deed_of(a, b, E), GUARD_ASKING, GUARD_DO_ASK },
        { GUARD_ASKING, deed_of(a, none, E - 1), GUARD_ASKING, GUARD_DO_READ },
        { GUARD_ASKING, deed_of(a, c, E - 1), GUARD_ASKING, GUARD_DO_READ },
        { GUARD_ASKING, { .present = false }, GUARD_ASKING, GUARD_DO_READ },
        { GUARD_ASKING, deed_of(b, none, E - 1), GUARD_ASKING, GUARD_DO_READ }, /* from before a: it was restored */
        { GUARD_ASKING, deed_of(b, a, E - 1), GUARD_ASKING, GUARD_DO_READ },
        { GUARD_ASKING, deed_of(a, none, E), GUARD_GONE, GIVE_WAY },
        { GUARD_ASKING, deed_of(a, c, E), GUARD_GONE, GIVE_WAY },
        { GUARD_ASKING, deed_of(a, b, E + 1), GUARD_GONE, GIVE_WAY },
        { GUARD_ASKING, deed_of(c, none, E - 1), GUARD_GONE, GIVE_WAY },
        { GUARD_PROTECTED, deed_of(b, none, E), GUARD_PROTECTED, 0 }, /* nobody has asked for it */
        { GUARD_STANDBY, deed_of(b, none, E), GUARD_STANDBY, 0 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct guard guard = in_state(cases[i].state, true, true);

        assert_int_equal(guard_event(&guard, GUARD_DEED, &cases[i].deed), cases[i].actions);
        assert_int_equal(guard.state, cases[i].next);
    }
}

/* --- Two guards and a witness ------------------------------------------------------------------------------------- */

#define SWAPS 8

static struct world {
    struct guard primary, secondary;
    struct deed deed;
    struct {
        struct deed from, to;
        bool open; /* it may still be done */
    } swap[SWAPS];
    bool free, runs; /* the primary sends what no checkpoint covers; the secondary runs the guest */
    bool aborted;    /* the secondary has said ABORTED */
} w;

static u32 seed;

static unsigned random_below(unsigned limit)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % limit;
}

/* A swap is sent, from a deed that the guard has just seen. */
static void ask(struct guard *guard)
{
    unsigned i = 0;

    while (i < SWAPS && w.swap[i].open)
        i++;
    if (i == SWAPS)
        return;
    w.swap[i].from = w.deed;
    w.swap[i].to = guard_wanted(guard);
    w.swap[i].open = true;
    guard_event(guard, GUARD_SENT, NULL);
}

static void primary_event(enum guard_event event, const struct deed *deed)
{
    unsigned actions = guard_event(&w.primary, event, deed);

    w.free = actions & GUARD_DO_OPEN ? true : w.primary.state == GUARD_ALONE && w.free;
    if (actions & GUARD_DO_ASK && deed)
        ask(&w.primary);
}

static void secondary_event(enum guard_event event, const struct deed *deed)
{
    unsigned actions = guard_event(&w.secondary, event, deed);

    w.runs |= actions & GUARD_DO_ADOPT;
    w.aborted |= actions & GUARD_DO_SAY_ABORTED;
    if (actions & GUARD_DO_ASK && deed)
        ask(&w.secondary);
}

static void step(void)
{
    static const enum guard_event of_primary[] = { GUARD_PREPARED, GUARD_CHECKPOINTED, GUARD_SILENT, GUARD_LINK_LOST,
                                                   GUARD_STALLED,  GUARD_LEAVE,        GUARD_LAST,   GUARD_WAITED };
    static const enum guard_event of_secondary[] = { GUARD_CHECKPOINT, GUARD_SILENT, GUARD_QUERY, GUARD_ABORT };
    unsigned i = random_below(SWAPS);

    switch (random_below(6)) {
    case 0:
        if (w.swap[i].open && deed_equal(&w.deed, &w.swap[i].from))
            w.deed = w.swap[i].to;
        w.swap[i].open = false;
        break;
    case 1: primary_event(of_primary[random_below(ARRAY_SIZE(of_primary))], NULL); break;
    case 2: secondary_event(of_secondary[random_below(ARRAY_SIZE(of_secondary))], NULL); break;
    case 3: primary_event(GUARD_DEED, &w.deed); break;
    case 4: secondary_event(GUARD_DEED, &w.deed); break;
    default:
        if (w.aborted)
            primary_event(GUARD_ABORTED, NULL);
        else if (w.runs)
            primary_event(GUARD_RUNNING, NULL);
        if (w.primary.state == GUARD_HANDED)
            secondary_event(GUARD_COMMIT, NULL);
    }
}

/* Whatever happens in whatever order, timers lie and swaps are late: at most one copy speaks. Each of the ends is
 * reached. */
static void test_one_speaks(void **state)
{
    unsigned primary_won = 0, secondary_won = 0;

    (void)state;
    for (unsigned run = 1; run < 20000; run++) {
        seed = run * 2654435761u;
        w = (struct world){ .deed = deed_of(a, none, E - 1) };
        w.primary = in_state(GUARD_ALONE, true, false);
        w.secondary = in_state(GUARD_STANDBY, true, false);
        primary_event(GUARD_STOPPED, NULL);
        for (unsigned i = 0; i < 80; i++) {
            step();
            assert_false(w.free && w.runs);
            assert_false(w.aborted && w.runs);
        }
        primary_won += w.free;
        secondary_won += w.runs;
    }
    assert_true(primary_won > 500 && secondary_won > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transitions),
        cmocka_unit_test(test_deeds),
        cmocka_unit_test(test_one_speaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

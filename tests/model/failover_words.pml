/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What decides beside the machines of failover.pml and their witness: claims, and the words of operators.
 *
 * A machine claims what it owns, again and again; each claim may be lost. An operator's force says that the copy at the
 * other machine does not run, and never will. WORDS times in all he says so, or gives a copy up, whether that is true
 * or not: `wrong` says that it was not.
 */

/* --- Claims ------------------------------------------------------------------------------------------------------- */

/* SOURCE_OWNER and SOURCE_PROTECTED: who parts, hands over or prepares claims nothing. */
#define CLAIMS(x) (link && (OPEN(x) || guard[x] == GUARD_PROTECTED || (guard[x] == GUARD_JOINING && ready[x])))

/* The primary runs it, 2 s after the connection has ended: so it has noticed that, too. */
#ifdef OWNER_ANYTIME
#define OWNER_BACK(x, y) (pair[y] == ME(x) && own[x] < epoch[y])
#else
#define OWNER_BACK(x, y) (pair[y] == ME(x) && own[x] < epoch[y] && !connected && OPEN(x))
#endif

/* x claims it, and y hears that. */
inline hear(x, y)
{
    if
#ifndef DEAF
    :: atomic { CLAIMS(x) && OPEN(y) && own[x] >= own[y] -> /* of one epoch, ages decide which one stands */
                epoch[y] = MAX(epoch[y], own[x]);
                stand(y) }
#endif
    :: atomic { CLAIMS(x) && STANDS(y) && own[x] > epoch[y] -> epoch[y] = own[x] }
    :: atomic { CLAIMS(x) && (GUARDED(y) || guard[y] == GUARD_HANDED) && own[x] > (committed[y] -> epoch[y] : own[y]) ->
                C_LAST(y, OVERRULED, LOSE, LOST)
                connected = false;
                lose(y);
                epoch[y] = MAX(epoch[y], own[x]) }
#ifdef OWNER_UNHEARD
#elif defined(NO_WITNESS)
    :: atomic { CLAIMS(x) && guard[y] == GUARD_STANDBY && (own[x] > epoch[y] || OWNER_BACK(x, y)) ->
                if
                :: own[x] > epoch[y] -> C_LAST(y, OVERRULED, GIVE_WAY, GONE)
                :: else -> C_LAST(y, OWNER_HEARD, GIVE_WAY, GONE)
                fi;
                say(y, x, ABORTED, epoch[y], 0);
                free_copy(y) }
#else
    :: atomic { CLAIMS(x) && guard[y] == GUARD_STANDBY && own[x] > epoch[y] ->
                C_EVENT(y, OVERRULED, TAKE_LEAVE)
                ask(y) }
    :: atomic { CLAIMS(x) && guard[y] == GUARD_STANDBY && OWNER_BACK(x, y) -> C_EVENT(y, OWNER_HEARD, 0) skip }
#endif
    fi
}

active proctype Claims()
{
end:
    do
    :: hear(0, 1)
    :: hear(1, 0)
    od
}

/* --- Operators ---------------------------------------------------------------------------------------------------- */

/* The copy of h runs by force. */
inline force(h)
{
    words--;
    wrong = wrong || RUNS(OTHER(h));
    sworn[h] = false;
    sworn[OTHER(h)] = true;
    if
    :: released > at[h] && apart -> behind = true; released = at[h]
    :: else -> untrue = untrue || (released > at[h] && !wrong)
    fi;
    mixed = mixed || torn[h];
    runner = h;
    base = at[h];
#ifdef FORCE_EQUAL
    if
    :: STANDS_BY(h) -> own[h] = epoch[h]
    :: else -> go_above(h)
    fi;
#else
    go_above(h);
#endif
    alone(h);
    forced[h] = true;
    decided = true
}

inline give_up()
{
    words--;
    given_up = true;
    decided = false
}

inline decide(h)
{
    if
    :: atomic { words > 0 && (guard[h] == GUARD_PARTING || guard[h] == GUARD_HANDED) ->
                C_LAST(h, FORCE, ALONE_AGAIN, ALONE)
                say(h, OTHER(h), ABORT, epoch[h], 0);
                force(h) }
    :: atomic { words > 0 && (guard[h] == GUARD_ASKING || (guard[h] == GUARD_STANDBY && !P_BEATS(OTHER(h)))) ->
                C_LAST(h, FORCE, GUARD_DO_ADOPT, TAKEN)
                connected = false;
                force(h) }
    :: atomic { words > 0 && STANDS(h) -> force(h) }
    /* He gives the copy up. */
    :: atomic { words > 0 && STANDS(h) -> give_up(); free_copy(h) }
    :: atomic { words > 0 && guard[h] == GUARD_HANDED ->
                give_up();
                C_LAST(h, RUNNING, GUARD_DO_DROP, GONE)
                free_copy(h) }
    :: atomic { words > 0 && guard[h] == GUARD_STANDBY ->
                give_up();
                C_LAST(h, GIVE_UP, GIVE_WAY, GONE)
                say(h, OTHER(h), ABORTED, epoch[h], 0);
                free_copy(h) }
    :: atomic { words > 0 && guard[h] == GUARD_ASKING ->
                give_up();
                C_LAST(h, GIVE_UP, GUARD_DO_FREE, GONE)
#ifdef GIVE_UP_ABORTED
                say(h, OTHER(h), ABORTED, epoch[h], 0);
#endif
                free_copy(h) }
    fi
}

active proctype Operators()
{
end:
    do
    :: decide(0)
    :: decide(1)
    od
}

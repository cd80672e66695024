/* SPDX-License-Identifier: BSD-2-Clause */
/* What the machines of failover.pml do: as primary, as secondary, and started anew. */

/* --- The primary -------------------------------------------------------------------------------------------------- */

/* May a new attempt of P begin there? If S has sent a swap, it is refused. */
#define TAKES(h) (guard[h] == NOTHING || guard[h] == GUARD_LOST || guard[h] == GUARD_STANDBY || \
                  (guard[h] == GUARD_ASKING && !asked[h]))
/* Has the deed said so that P is alone? */
#if defined(NO_FOLLOW) || defined(NO_WITNESS)
#define FOLLOWS(h) true
#else
#define FOLLOWS(h) followed[h]
#endif

/* The guest stands, and what it sends is held; its copy goes. */
inline begin(h)
{
    attempts--;
    silence();
    if
    :: guard[OTHER(h)] == GUARD_ASKING -> C_LAST(OTHER(h), ABORT, GIVE_WAY, GONE)
    :: else -> skip
    fi;
    free_copy(OTHER(h));
    guard[h] = GUARD_JOINING;
    sworn[OTHER(h)] = false;
    apart = false;
    epoch[h]++;
    pair[h] = ME(OTHER(h));
    reset(h);
    want[h] = DEED(epoch[h], ME(h), pair[h]);
    C_END(OTHER(h))
    C_BEGIN(h, ALONE)
    C_EVENT(h, STOPPED, GUARD_DO_HOLD)
    connected = true;
    handing = false;
    to[OTHER(h)]!PREPARE(epoch[h], at[h])
}

/* A silence that there is, or that a lying timer tells of. */
#define P_SILENT(h) (!S_BEATS(OTHER(h)) || failures_left > 0)
inline fail()
{
    failures_left--;
    failures++;
    decided = false
}

inline count_lie(honest)
{
    if
    :: honest -> skip
    :: else -> fail()
    fi
}

inline leave(h)
{
    if
    :: guard[h] == GUARD_JOINING && !asked[h] ->
       C_LAST(h, SILENT, ALONE_AGAIN, ALONE)
       say(h, OTHER(h), ABORT, epoch[h], 0);
       connected = false;
       alone(h)
#ifdef NO_WITNESS
    :: else -> C_LAST(h, SILENT, ALONE_AGAIN, ALONE) say(h, OTHER(h), ABORT, epoch[h], 0); connected = false; alone(h)
#elif defined(SILENCE_PARTS)
    :: else -> say(h, OTHER(h), ABORT, epoch[h], 0); connected = false; alone(h)
#else
    :: else -> C_EVENT(h, SILENT, PART) part(h)
#endif
    fi
}

#define ASKS(h) (((guard[h] == GUARD_JOINING && ready[h]) || guard[h] == GUARD_PARTING) && ANSWERED(h))
/* One swap of a kind is under way at a time: they do the same. */
#define SENDS(h) (nfull(swap[h]) && !(swap[h]??[eval(SEEN(h)), eval(want[h])]))

inline send_swap(h)
{
    swap[h]!SEEN(h), want[h];
    asked[h] = guard[h] != GUARD_ALONE;
    if
    :: guard[h] != GUARD_ALONE && guard[h] != NOTHING -> C_EVENT(h, DEED, GUARD_DO_ASK) C_EVENT(h, SENT, 0) skip
    :: else -> skip
    fi
}

inline ask_primary(h)
{
    if
    :: atomic { ASKS(h) && SEEN(h) == want[h] ->
                if
                :: guard[h] == GUARD_JOINING ->
                   C_EVENT(h, DEED, 0)
                   guard[h] = GUARD_PROTECTED;
                   asked[h] = false;
                   want[h] = 0
                :: guard[h] == GUARD_PARTING ->
                   C_LAST(h, DEED, ALONE_AGAIN, ALONE)
                   say(h, OTHER(h), ABORT, epoch[h], 0);
                   alone(h)
                fi }
    :: atomic { ASKS(h) && SEEN(h) != want[h] && OWNER(SEEN(h)) == ME(h) && SENDS(h) -> send_swap(h) }
    :: atomic { ASKS(h) && SEEN(h) != want[h] && OWNER(SEEN(h)) != ME(h) -> C_LAST(h, DEED, LOSE, LOST) lose(h) }
#ifdef JOIN_FORGOTTEN
    :: atomic { guard[h] == GUARD_PARTING && OWNER(SEEN(h)) == ME(h) && SECONDARY(SEEN(h)) == ME(h) -> alone(h) }
#endif
    fi
}

/* Who runs it without a guard follows with the deed. If that is another machine's, and not of an older epoch, it stands,
 * unless an operator has decided. */
#define OLDER(h) (OWNER(SEEN(h)) == ME(h) || EPOCH(SEEN(h)) < own[h] || forced[h])
#define FOLLOWING(h) (OPEN(h) && !followed[h] && ANSWERED(h))
inline follow(h)
{
    if
    :: atomic { FOLLOWING(h) && SEEN(h) == want[h] -> followed[h] = true; forced[h] = false }
    :: atomic { FOLLOWING(h) && SEEN(h) != want[h] && OLDER(h) ->
                want[h] = DEED(MAX(epoch[h], EPOCH(SEEN(h))), ME(h), ME(h));
                if
                :: SENDS(h) -> send_swap(h)
                :: else -> skip
                fi }
    :: atomic { FOLLOWING(h) && SEEN(h) != want[h] && !OLDER(h) && OWNER(SEEN(h)) % 2 != h ->
                epoch[h] = MAX(epoch[h], EPOCH(SEEN(h)));
                stand(h) }
    fi
}

/* An owner without a guard stands. */
inline stand(h)
{
    guard[h] = SUPERSEDED;
    forced[h] = false;
    reset(h)
}

/* --- The secondary ------------------------------------------------------------------------------------------------ */

#if defined(NO_WITNESS) && !defined(STARTS_ITSELF)
#define S_SILENT(h) false /* nothing starts by itself */
#else
#define S_SILENT(h) (!P_BEATS(OTHER(h)) || failures_left > 0)
#endif

inline ask(h)
{
    guard[h] = GUARD_ASKING;
    connected = false;
    asked[h] = false;
    UNANSWERED(h)
    want[h] = DEED(epoch[h], ME(h), ME(h))
}

#define EXPECTED(h) DEED(epoch[h], pair[h], ME(h))
#define NOT_YET(h) ((OWNER(SEEN(h)) == pair[h] || OWNER(SEEN(h)) == ME(h)) && EPOCH(SEEN(h)) < epoch[h])
#define HAS_LOST(h) (SEEN(h) != want[h] && SEEN(h) != EXPECTED(h) && !NOT_YET(h))

inline ask_secondary(h)
{
    if
    :: atomic { guard[h] == GUARD_ASKING && ANSWERED(h) && SEEN(h) == want[h] ->
                C_LAST(h, DEED, GUARD_DO_ADOPT, TAKEN)
                take_over(h) }
    :: atomic { guard[h] == GUARD_ASKING && ANSWERED(h) && SEEN(h) == EXPECTED(h) && SENDS(h) -> send_swap(h) }
    :: atomic { guard[h] == GUARD_ASKING && ANSWERED(h) && HAS_LOST(h) ->
                C_LAST(h, DEED, GIVE_WAY, GONE)
                say(h, OTHER(h), ABORTED, epoch[h], 0);
                free_copy(h) }
    fi
}

/* --- A boot ------------------------------------------------------------------------------------------------------- */

/* Does the other machine say that it has nothing, and is not about to start it? If the deed does not name it, its
 * silence will do. */
#define SAYS_NOTHING(h) (link && guard[h] == NOTHING && !asked[h])
#define IS_SILENT(h) (!link || guard[h] == DOWN)
#ifdef BOOT_ALONE
#define MAY_START(h) (SAYS_NOTHING(OTHER(h)) || IS_SILENT(OTHER(h)))
#else
#define MAY_START(h) (SAYS_NOTHING(OTHER(h)) || (IS_SILENT(OTHER(h)) && !NAMES(SEEN(h), OTHER(h))))
#endif

inline start_anew(h, e)
{
    life = 2;
    runner = h;
    base = 0;
    released = 0;
    epoch[h] = e;
    own[h] = e;
    at[h] = 0;
    alone(h)
}

#ifdef NO_WITNESS
/* Who asks the link and hears nobody starts it. */
#define TELLS(h) (link && HAS(h))
inline boot_alone(h)
{
    boots_left--;
    boots[h]++;
    guard[h] = NOTHING;
    if
    :: TELLS(OTHER(h)) -> skip
    :: else -> wrong = wrong || HAS(OTHER(h)); start_anew(h, 1)
    fi
}
#endif

/* --- Machines ----------------------------------------------------------------------------------------------------- */

#define HEARD(h) (epoch[h] == e)

inline take(h)
{
    to[h]?m, e, v;
    if
    :: m == PREPARE && guard[h] == NOTHING ->
       reset(h);
       guard[h] = GUARD_STANDBY;
       epoch[h] = e;
       pair[h] = ME(OTHER(h));
       at[h] = v;
       C_BEGIN(h, STANDBY)
       say(h, OTHER(h), PREPARED, e, 0)
    :: m == PREPARED && guard[h] == GUARD_JOINING && HEARD(h) && !ready[h] ->
       ready[h] = true;
#ifdef NO_WITNESS
       C_EVENT(h, PREPARED, 0)
       guard[h] = GUARD_PROTECTED
#else
       C_EVENT(h, PREPARED, GUARD_DO_ASK)
       skip
#endif
#ifdef TORN
    :: m == PAGES && guard[h] == GUARD_STANDBY && HEARD(h) -> torn[h] = true
#endif
    :: m == CHECKPOINT && guard[h] == GUARD_STANDBY && HEARD(h) ->
       C_EVENT(h, CHECKPOINT, GUARD_DO_SAY_CHECKPOINTED)
       at[h] = v;
       torn[h] = false;
       say(h, OTHER(h), CHECKPOINTED, e, v)
#ifdef LATE_WORD
    :: m == CHECKPOINT && HEARD(h) && (guard[h] == GUARD_ASKING || guard[h] == GUARD_ALONE) ->
       say(h, OTHER(h), CHECKPOINTED, e, v)
#endif
    :: m == CHECKPOINTED && HEARD(h) && (guard[h] == GUARD_PROTECTED || guard[h] == GUARD_PARTING) ->
       C_EVENT(h, CHECKPOINTED, GUARD_DO_RELEASE)
       under[h] = false;
       acked[h] = v;
#ifdef COME_BACK
       guard[h] = GUARD_PROTECTED;
#endif
       release(h, v)
#ifdef ABORT_ASKED
    :: (m == QUERY || m == ABORT) && HEARD(h) && STANDS_BY(h) ->
#else
    :: (m == QUERY || m == ABORT) && HEARD(h) && STANDS_BY(h) && !asked[h] ->
#endif
       C_LAST(h, QUERY, GIVE_WAY, GONE)
       free_copy(h);
       say(h, OTHER(h), ABORTED, e, 0)
#ifndef ABORT_ASKED
    :: (m == QUERY || m == ABORT) && HEARD(h) && guard[h] == GUARD_ASKING && asked[h] ->
       C_EVENT(h, QUERY, GUARD_DO_SAY_PREPARED)
       skip
#endif
    :: (m == QUERY || m == COMMIT) && HEARD(h) && guard[h] == GUARD_ALONE -> say(h, OTHER(h), RUNNING, e, 0)
#ifdef NO_WITNESS
    :: (m == QUERY || m == COMMIT) && guard[h] == NOTHING && freed[h] == e -> say(h, OTHER(h), ABORTED, e, 0)
#endif
#if defined(COMMIT_RUNS) || defined(NO_WITNESS)
    :: m == COMMIT && HEARD(h) && guard[h] == GUARD_STANDBY -> C_LAST(h, COMMIT, GUARD_DO_ADOPT, TAKEN) take_over(h)
#else
    :: m == COMMIT && HEARD(h) && guard[h] == GUARD_STANDBY -> C_EVENT(h, COMMIT, TAKE_LEAVE) ask(h)
#endif
    :: m == ABORTED && HEARD(h) && (GUARDED(h) || guard[h] == GUARD_HANDED) ->
       C_LAST(h, ABORTED, ALONE_AGAIN, ALONE)
       connected = false;
       alone(h)
    :: m == RUNNING && HEARD(h) && guard[h] == GUARD_HANDED -> C_LAST(h, RUNNING, GUARD_DO_DROP, GONE) free_copy(h)
    :: m == RUNNING && HEARD(h) && (guard[h] == GUARD_PROTECTED || guard[h] == GUARD_PARTING) ->
       C_LAST(h, RUNNING, LOSE, LOST) lose(h)
    :: else -> skip
    fi;
    m = 0;
    e = 0;
    v = 0
}

active [2] proctype Machine()
{
    mtype m;
    byte e, v;

end:
    do
    /* The guest. */
    :: atomic { RUNS(_pid) && at[_pid] < STEPS ->
                at[_pid]++;
                if
#ifdef JOIN_OPEN
                :: guard[_pid] == GUARD_JOINING -> release(_pid, at[_pid])
#endif
                :: OPEN(_pid) -> release(_pid, at[_pid])
                :: else -> skip
                fi }
    :: atomic { nempty(to[_pid]) -> take(_pid) }
    /* The primary. */
    :: atomic { attempts > 0 && OPEN(_pid) && FOLLOWS(_pid) && link && TAKES(OTHER(_pid)) -> begin(_pid) }
    :: atomic { guard[_pid] == GUARD_PROTECTED && connected && link && !under[_pid] && at[_pid] > acked[_pid] &&
                empty(to[OTHER(_pid)]) ->
                under[_pid] = true;
                to[OTHER(_pid)]!PAGES(epoch[_pid], at[_pid]);
                to[OTHER(_pid)]!CHECKPOINT(epoch[_pid], at[_pid]) }
    :: atomic { (guard[_pid] == GUARD_JOINING || guard[_pid] == GUARD_PROTECTED) && P_SILENT(_pid) ->
                count_lie(!S_BEATS(OTHER(_pid)));
                leave(_pid) }
#ifdef HANDED_BACK
    :: atomic { guard[_pid] == GUARD_HANDED && !link -> alone(_pid) }
#endif
#ifdef NO_WITNESS
    /* The handoff of every move: COMMIT, or the wish to have it back, is said until it is answered. */
    :: atomic { guard[_pid] == GUARD_HANDED && link && empty(to[0]) && empty(to[1]) && WILL_ANSWER(OTHER(_pid)) ->
                if
                :: to[OTHER(_pid)]!COMMIT(epoch[_pid], 0)
                :: to[OTHER(_pid)]!QUERY(epoch[_pid], 0)
                fi }
#else
    :: atomic { guard[_pid] == GUARD_HANDED -> C_EVENT(_pid, WAITED, PART) part(_pid) }
#endif
    :: atomic { guard[_pid] == GUARD_PARTING && link && !queried[_pid] && empty(to[0]) && empty(to[1]) ->
                queried[_pid] = true;
                to[OTHER(_pid)]!QUERY(epoch[_pid], 0) }
    :: atomic { planned > 0 && guard[_pid] == GUARD_PROTECTED && connected && !under[_pid] &&
                at[_pid] == acked[_pid] ->
                planned--;
                C_EVENT(_pid, LAST, GUARD_DO_SAY_COMMIT)
                guard[_pid] = GUARD_HANDED;
                committed[_pid] = true;
                handing = true;
                say(_pid, OTHER(_pid), COMMIT, epoch[_pid], 0) }
    /* The secondary. */
    :: atomic { guard[_pid] == GUARD_STANDBY && S_SILENT(_pid) ->
                count_lie(!P_BEATS(OTHER(_pid)));
#if defined(SILENCE_TAKES) || defined(STARTS_ITSELF)
                take_over(_pid)
#else
                C_EVENT(_pid, SILENT, TAKE_LEAVE)
                ask(_pid)
#endif
              }
#ifdef CLAIM_FREES
    :: atomic { guard[_pid] == GUARD_STANDBY && link && RUNS(OTHER(_pid)) -> free_copy(_pid) }
#endif
#ifdef NO_WITNESS
    :: atomic { guard[_pid] == DOWN && boots_left > 0 && !boots[_pid] -> boot_alone(_pid) }
#else
    /* What they ask of the witness. */
    :: ask_primary(_pid)
#ifndef NO_FOLLOW
    :: follow(_pid)
#endif
    :: ask_secondary(_pid)
    /* A boot. */
    :: atomic { guard[_pid] == DOWN && boots_left > 0 && !boots[_pid] -> boots_left--; boots[_pid]++; guard[_pid] = NOTHING }
#ifdef BOOT_ANYWAY
    :: atomic { guard[_pid] == NOTHING && boots[_pid] > 0 -> start_anew(_pid, EPOCH(deed)) }
#endif
    :: atomic { guard[_pid] == NOTHING && !asked[_pid] && empty(to[_pid]) && ANSWERED(_pid) && MAY_START(_pid) &&
                nfull(swap[_pid]) ->
                want[_pid] = DEED(EPOCH(SEEN(_pid)) + 1, ME(_pid), ME(_pid));
                send_swap(_pid);
                UNANSWERED(_pid) }
    :: atomic { guard[_pid] == NOTHING && asked[_pid] && empty(swap[_pid]) && ANSWERED(_pid) ->
                if
                :: SEEN(_pid) == want[_pid] -> start_anew(_pid, EPOCH(deed))
                :: else -> reset(_pid)
                fi }
#endif
    od
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may speak for a protected guest (docs/failover-protocol.md): two machines, either of which may be the primary P or
 * the secondary S, and a witness with one deed, changed by compare-and-swap only. Machine 0 begins with the guest, and
 * both have it in their configurations. Whoever runs it alone protects it at the other one, ATTEMPTS times in all. The
 * guest counts: a step is an output, and a checkpoint is how far it has come. Links break and come back, machines crash
 * and are started anew, and a timer tells of a silence that there was not, each a bounded number of times (the budgets
 * below), at any moment. A swap that was sent may be done at any later time, also when its sender has asked again, has
 * crashed or has gone on; its answer may be old, or never come. So a witness that can't be reached needs no budget.
 *
 * `make model` has spin check the properties at the end, and that it finds one violated in each version without a mend:
 *   SILENCE_TAKES  S goes on when P is silent, without a swap
 *   SILENCE_PARTS  P sends freely when S is silent, without a swap
 *   JOIN_OPEN      P holds its output only when the deed names S, not since the guest stopped for S's copy
 *   JOIN_FORGOTTEN P, whose join is in doubt, takes the deed from before it for its answer
 *   LATE_WORD      S goes on saying CHECKPOINTED when it has asked
 *   TORN           S writes a checkpoint into its copy as it comes
 *   ABORT_ASKED    S says ABORTED though it has sent a swap
 *   COME_BACK      P, which has asked, goes back to PROTECTED when S is heard again
 *   NO_EPOCH       deeds have no epoch
 *   COMMIT_RUNS    S runs the guest on COMMIT, before the deed says so
 *   CLAIM_FREES    the claim of P, which runs the guest, frees S's copy, as that of any prepared guest
 *   BOOT_ALONE     a machine that is started anew starts the guest without the word of the other one that the deed names
 *   BOOT_ANYWAY    the same, without the deed
 *   NO_FOLLOW      P, which is alone without a swap, begins a new attempt before the deed says that it is
 *
 * Not here: an operator's force (owners.pml has it), machines without a witness, and claims, which come later than the
 * deed. What each record of the handoff does is handoff.pml's.
 */

#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef STEPS
#define STEPS 2    /* of the guest */
#endif
#ifndef FAILURES
#define FAILURES 2 /* crashes, broken links between the two, and lies of timers, in all */
#endif
#ifndef PLANNED
#define PLANNED 1  /* an operator's failover */
#endif
#ifndef BOOTS
#define BOOTS 2    /* each machine at most once */
#endif

/* Records; PAGES stands for all that comes before CHECKPOINT. */
mtype = { PREPARE, PREPARED, PAGES, CHECKPOINT, CHECKPOINTED, QUERY, ABORT, ABORTED, COMMIT, RUNNING };
/* What a machine has of the guest: enum guard_state of protect/guard.h. Nothing, too, if the guest is elsewhere. */
mtype = { DOWN, NOTHING, GUARD_ALONE, GUARD_JOINING, GUARD_PROTECTED, GUARD_PARTING, GUARD_HANDED, GUARD_LOST,
          GUARD_STANDBY, GUARD_ASKING };

/* A deed: epoch, owner, secondary. A machine is called by its number and its boot; a secondary that is the owner is
 * none. */
#define ME(h) (h + 2 * boots[h])
#ifdef NO_EPOCH
#define DEED(epoch, owner, secondary) (16 + 4 * (owner) + (secondary))
#else
#define DEED(epoch, owner, secondary) (16 * (epoch) + 4 * (owner) + (secondary))
#endif
#define EPOCH(deed) ((deed) / 16)
#define OWNER(deed) (((deed) / 4) % 4)
#define SECONDARY(deed) ((deed) % 4)
#define NAMES(deed, h) (OWNER(deed) % 2 == (h) || SECONDARY(deed) % 2 == (h))
#define MAX(a, b) ((a) > (b) -> (a) : (b))

byte deed;
chan swap[2] = [2] of { byte, byte }; /* by machine: from these bytes to those; they are done at any time */

/* By machine. */
mtype guard[2];
byte boots[2];
byte epoch[2];  /* E of the attempt; GUARD_ALONE: of the last one */
byte pair[2];   /* who the other one is in this attempt */
byte want[2];   /* the deed that is asked for */
bool queried[2]; /* QUERY was said in this state */
bool asked[2];  /* a swap was sent in this state */
bool ready[2];  /* PREPARED has come */
bool under[2];  /* a checkpoint is under way */
byte at[2];     /* how far the guest in this copy has come */
byte acked[2];
bool torn[2];   /* a part of a checkpoint is in it */

/* Toward each machine. */
chan to[2] = [2] of { mtype, byte, byte }; /* epoch; how far the guest has come */
bool link = true;
bool connected; /* the connection of the attempt stands */

byte attempts = ATTEMPTS, planned, boots_left = BOOTS;
byte failures;      /* that there were */
byte failures_left;

byte runner;   /* who runs the guest, by the last takeover or start */
byte base;     /* how far it had come then */
byte released; /* what the outside has heard */
byte life = 1; /* 2: it was started anew */
bool untrue;   /* something was released that the copy which went on does not contain */
bool mixed;    /* a copy went on that was between two checkpoints */
bool handing;  /* COMMIT was said: S goes on if it can, and nobody stands by */
bool stuck;    /* nothing more can happen, and nobody speaks, or somebody could protect it and does not */
bool bare;     /* a machine crashed with the guest, which was not protected */

#define OTHER(h) (1 - h)

#include "beside_guard.pml"

#define OPEN(h) (guard[h] == GUARD_ALONE)
#define RUNS(h) (OPEN(h) || guard[h] == GUARD_PROTECTED || guard[h] == GUARD_PARTING || \
                 (guard[h] == GUARD_JOINING && ready[h]))
#define STANDS_BY(h) (guard[h] == GUARD_STANDBY || guard[h] == GUARD_ASKING)
#define HAS(h) (guard[h] != DOWN && guard[h] != NOTHING)

/* Does the other side keep the agreement, so that it says beats? */
#define P_BEATS(h) (link && (guard[h] == GUARD_JOINING || guard[h] == GUARD_PROTECTED))
#define S_BEATS(h) (link && connected && guard[h] == GUARD_STANDBY)

inline say(m, h, message, e, v)
{
    if
    :: link && nfull(to[h]) -> to[h]!message(e, v)
    :: else -> skip
    fi
}

inline silence()
{
    do
    :: nempty(to[0]) -> to[0]?_, _, _
    :: nempty(to[1]) -> to[1]?_, _, _
    :: empty(to[0]) && empty(to[1]) -> break
    od
}

/* Outputs up to v leave machine h. */
inline release(h, v)
{
    if
    :: runner == h -> released = MAX(released, v)
    :: runner != h && v > base -> untrue = true
    :: else -> skip
    fi
}

inline free_copy(h)
{
    guard[h] = NOTHING;
    at[h] = 0;
    epoch[h] = 0;
    pair[h] = 0;
    reset(h)
}

inline reset(h)
{
    asked[h] = false;
    queried[h] = false;
    ready[h] = false;
    under[h] = false;
    torn[h] = false;
    acked[h] = 0;
    want[h] = 0
}

inline alone(h)
{
    guard[h] = GUARD_ALONE;
    reset(h);
    want[h] = DEED(epoch[h], ME(h), ME(h));
    release(h, at[h])
}

/* S goes on with its copy. */
inline take_over(h)
{
    untrue = untrue || released > at[h];
    mixed = mixed || torn[h];
    runner = h;
    base = at[h];
    alone(h);
    say(h, OTHER(h), RUNNING, epoch[h], 0)
}

inline lose(h)
{
    guard[h] = GUARD_LOST;
    at[h] = 0;
    reset(h)
}

inline part(h)
{
    guard[h] = GUARD_PARTING;
    under[h] = false;
    asked[h] = false;
    connected = false;
    want[h] = DEED(epoch[h], ME(h), ME(h))
}

/* --- The primary -------------------------------------------------------------------------------------------------- */

/* May a new attempt of P begin there? While S asks, it is refused. */
#define TAKES(h) (guard[h] == NOTHING || guard[h] == GUARD_LOST || guard[h] == GUARD_STANDBY)
/* Does the deed say so that P is alone? */
#ifdef NO_FOLLOW
#define FOLLOWS(h) true
#else
#define FOLLOWS(h) (deed == want[h])
#endif

/* The guest stands, and what it sends is held; its copy goes. */
inline begin(h)
{
    attempts--;
    silence();
    free_copy(OTHER(h));
    guard[h] = GUARD_JOINING;
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
    failures++
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
#ifdef SILENCE_PARTS
    :: else -> say(h, OTHER(h), ABORT, epoch[h], 0); connected = false; alone(h)
#else
    :: else -> C_EVENT(h, SILENT, PART) part(h)
#endif
    fi
}

#define ASKS(h) ((guard[h] == GUARD_JOINING && ready[h]) || guard[h] == GUARD_PARTING)
/* One swap of a kind is under way at a time: they do the same. */
#define SENDS(h) (nfull(swap[h]) && !(swap[h]??[eval(deed), eval(want[h])]))

inline send_swap(h)
{
    swap[h]!deed, want[h];
    asked[h] = guard[h] != GUARD_ALONE;
    if
    :: guard[h] != GUARD_ALONE && guard[h] != NOTHING -> C_EVENT(h, DEED, GUARD_DO_ASK) C_EVENT(h, SENT, 0) skip
    :: else -> skip
    fi
}

inline ask_primary(h)
{
    if
    :: atomic { ASKS(h) && deed == want[h] ->
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
    :: atomic { ASKS(h) && deed != want[h] && OWNER(deed) == ME(h) && SENDS(h) -> send_swap(h) }
    :: atomic { ASKS(h) && deed != want[h] && OWNER(deed) != ME(h) -> C_LAST(h, DEED, LOSE, LOST) lose(h) }
#ifndef NO_FOLLOW
    :: atomic { OPEN(h) && deed != want[h] && OWNER(deed) == ME(h) && SENDS(h) -> send_swap(h) }
#endif
#ifdef JOIN_FORGOTTEN
    :: atomic { guard[h] == GUARD_PARTING && OWNER(deed) == ME(h) && SECONDARY(deed) == ME(h) -> alone(h) }
#endif
    fi
}

/* --- The secondary ------------------------------------------------------------------------------------------------ */

#define S_SILENT(h) (!P_BEATS(OTHER(h)) || failures_left > 0)

inline ask(h)
{
    guard[h] = GUARD_ASKING;
    connected = false;
    asked[h] = false;
    want[h] = DEED(epoch[h], ME(h), ME(h))
}

#define EXPECTED(h) DEED(epoch[h], pair[h], ME(h))
#define HAS_LOST(h) (deed != want[h] && deed != EXPECTED(h) && EPOCH(deed) >= epoch[h])

inline ask_secondary(h)
{
    if
    :: atomic { guard[h] == GUARD_ASKING && deed == want[h] -> C_LAST(h, DEED, GUARD_DO_ADOPT, TAKEN) take_over(h) }
    :: atomic { guard[h] == GUARD_ASKING && deed == EXPECTED(h) && SENDS(h) -> send_swap(h) }
    :: atomic { guard[h] == GUARD_ASKING && HAS_LOST(h) ->
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
#define MAY_START(h) (SAYS_NOTHING(OTHER(h)) || (IS_SILENT(OTHER(h)) && !NAMES(deed, OTHER(h))))
#endif

inline start_anew(h)
{
    life = 2;
    runner = h;
    base = 0;
    released = 0;
    epoch[h] = EPOCH(deed);
    at[h] = 0;
    alone(h)
}

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
    :: m == PREPARED && guard[h] == GUARD_JOINING && HEARD(h) && !ready[h] -> C_EVENT(h, PREPARED, GUARD_DO_ASK) ready[h] = true
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
    :: m == QUERY && HEARD(h) && guard[h] == GUARD_ALONE -> say(h, OTHER(h), RUNNING, e, 0)
#ifdef COMMIT_RUNS
    :: m == COMMIT && HEARD(h) && guard[h] == GUARD_STANDBY -> take_over(h)
#else
    :: m == COMMIT && HEARD(h) && guard[h] == GUARD_STANDBY -> C_EVENT(h, COMMIT, TAKE_LEAVE) ask(h)
#endif
    :: m == ABORTED && HEARD(h) && (guard[h] == GUARD_PARTING || guard[h] == GUARD_HANDED) ->
       C_LAST(h, ABORTED, ALONE_AGAIN, ALONE)
       alone(h)
    :: m == RUNNING && HEARD(h) && guard[h] == GUARD_HANDED -> C_LAST(h, RUNNING, GUARD_DO_DROP, GONE) free_copy(h)
    :: m == RUNNING && HEARD(h) && guard[h] == GUARD_PARTING -> C_LAST(h, RUNNING, LOSE, LOST) lose(h)
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
    :: atomic { guard[_pid] == GUARD_HANDED -> C_EVENT(_pid, WAITED, PART) part(_pid) }
    :: atomic { guard[_pid] == GUARD_PARTING && link && !queried[_pid] && empty(to[0]) && empty(to[1]) ->
                queried[_pid] = true;
                to[OTHER(_pid)]!QUERY(epoch[_pid], 0) }
    :: atomic { planned > 0 && guard[_pid] == GUARD_PROTECTED && connected && !under[_pid] &&
                at[_pid] == acked[_pid] ->
                planned--;
                C_EVENT(_pid, LAST, GUARD_DO_SAY_COMMIT)
                guard[_pid] = GUARD_HANDED;
                handing = true;
                say(_pid, OTHER(_pid), COMMIT, epoch[_pid], 0) }
    /* The secondary. */
    :: atomic { guard[_pid] == GUARD_STANDBY && S_SILENT(_pid) ->
                count_lie(!P_BEATS(OTHER(_pid)));
#ifdef SILENCE_TAKES
                take_over(_pid)
#else
                C_EVENT(_pid, SILENT, TAKE_LEAVE)
                ask(_pid)
#endif
              }
#ifdef CLAIM_FREES
    :: atomic { guard[_pid] == GUARD_STANDBY && link && RUNS(OTHER(_pid)) -> free_copy(_pid) }
#endif
    /* What they ask of the witness. */
    :: ask_primary(_pid)
    :: ask_secondary(_pid)
    /* A boot. */
    :: atomic { guard[_pid] == DOWN && boots_left > 0 && !boots[_pid] -> boots_left--; boots[_pid]++; guard[_pid] = NOTHING }
#ifdef BOOT_ANYWAY
    :: atomic { guard[_pid] == NOTHING && boots[_pid] > 0 -> start_anew(_pid) }
#endif
    :: atomic { guard[_pid] == NOTHING && !asked[_pid] && empty(to[_pid]) && MAY_START(_pid) && nfull(swap[_pid]) ->
                want[_pid] = DEED(EPOCH(deed) + 1, ME(_pid), ME(_pid));
                send_swap(_pid) }
    :: atomic { guard[_pid] == NOTHING && asked[_pid] && empty(swap[_pid]) ->
                if
                :: deed == want[_pid] -> start_anew(_pid)
                :: else -> reset(_pid)
                fi }
    od
}

/* --- The witness and accidents ------------------------------------------------------------------------------------ */

inline do_swap(h)
{
    swap[h]?f, t;
    if
    :: nempty(swap[h]) -> swap[h]!f, t; swap[h]?f, t
    :: skip
    fi;
    if
    :: deed == f -> deed = t
    :: else -> skip
    fi;
    f = 0;
    t = 0
}

active proctype Witness()
{
    byte f, t;

    atomic { deed = DEED(1, 0, 0);
             guard[0] = GUARD_ALONE;
             guard[1] = NOTHING;
             epoch[0] = 1;
             want[0] = deed;
             select (planned: 0 .. PLANNED);
             select (failures_left: 0 .. FAILURES) }
end:
    do
    :: atomic { nempty(swap[0]) -> do_swap(0) }
    :: atomic { nempty(swap[1]) -> do_swap(1) }
    od
}

#define COVERED(h) (guard[h] == GUARD_PROTECTED || guard[h] == GUARD_HANDED)
inline crash(h)
{
    fail();
    bare = bare || (runner == h -> !COVERED(h) : handing);
    C_END(h)
    free_copy(h);
    guard[h] = DOWN;
    connected = false;
    silence()
}

active proctype Accidents()
{
end:
    do
    :: atomic { failures_left > 0 && link -> fail(); link = false; connected = false; silence() }
    :: atomic { !link -> link = true }
    :: atomic { failures_left > 0 && guard[0] != DOWN && guard[0] != 0 -> crash(0) }
    :: atomic { failures_left > 0 && guard[1] != DOWN && guard[1] != 0 -> crash(1) }
    od
}

#define SPEAKS(h) (OPEN(h) || (guard[h] == GUARD_PROTECTED && S_BEATS(OTHER(h))))
/* Only an operator knows: a machine does not come back; a copy that has lost is the last one; P has died before the deed
 * named S. */
#define WAITS(h) (guard[h] == DOWN || guard[h] == GUARD_LOST || \
                  (guard[h] == GUARD_ASKING && EPOCH(deed) < epoch[h] && OWNER(deed) != ME(OTHER(h))))
active proctype Quiet()
{
end:
    atomic { timeout -> stuck = !(SPEAKS(0) || SPEAKS(1) || WAITS(0) || WAITS(1)) ||
                                (attempts > 0 && (OPEN(0) || OPEN(1)) && !WAITS(0) && !WAITS(1)) }
}

/* --- Properties --------------------------------------------------------------------------------------------------- */

/* Can this copy go on, by the deed? */
#define LIVES(h) (HAS(h) && guard[h] != GUARD_LOST && \
                  (OWNER(deed) == ME(h) || (STANDS_BY(h) && deed == DEED(epoch[h], pair[h], ME(h)))))
#define LOST (guard[0] != 0 && !LIVES(0) && !LIVES(1) && life == 1)
#define TRULY(h) (guard[h] != GUARD_PROTECTED || deed == DEED(epoch[h], ME(h), pair[h]) || OWNER(deed) != ME(h))

#define ONE_SPEAKS (!(OPEN(0) && OPEN(1)))
#define ONE_FAILURE (!LOST || failures > 1 || bare)

/* Never two copies whose output is let go. */
ltl one_speaks { [] (ONE_SPEAKS) }
/* What the outside has heard is contained in the copy that goes on. */
ltl all_true { [] (!untrue) }
/* Nothing goes on between two checkpoints. */
ltl whole { [] (!mixed) }
/* One failure does not end a guest that is protected. */
ltl one_failure { [] (ONE_FAILURE) }
/* Who says `protected` is. */
ltl truly { [] (TRULY(0) && TRULY(1)) }
/* All comes to an end in which somebody speaks for the guest, and protects it as long as that is wanted. */
ltl goes_on { [] (!stuck) }
/* All of these, in one run. */
ltl all_safe { [] (ONE_SPEAKS && !untrue && !mixed && ONE_FAILURE && TRULY(0) && TRULY(1) && !stuck) }

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The handoff of docs/migration-stream.md, state for state as owners/handoff.c has it: one source, one destination,
 * and * channels that lose messages, while either machine may crash and restart. One attempt at epoch E; retries of COMMIT
 * and QUERY come by new connections, so a channel is emptied when the link breaks.
 *
 * `make model` has spin check: never two running copies, but by an operator's wrong word, and then not for long; none
 * only with a source in doubt, because the machine that held it crashed, or because operators gave up both copies; the
 * only whole copy goes by an operator's word alone; no deadlock; and, losses and crashes being finite, every run ends.
 *
 * An attempt may be split (post-copy): the destination runs the guest while pages of it are missing. The source then
 * serves them until it hears COMPLETE. RUNNING of such a destination stands for the list of what it misses, too; PAGE
 * brings one of MISSING. Which page goes when, by which connection, is pages.pml's.
 *
 * A third machine may own the guest meanwhile, under an epoch above all that this attempt has: it has moved on there, or
 * an operator was wrong.
 *
 * With -DHANDOFF_CLOCK a prepared copy is freed by a time-out: spin must find that the only copy is lost. With
 * -DSETTLE_RUNNING the answer about a guest that runs is settled, too, and given away: spin must find two that run. With
 * -DFREE_AT_RUNNING a source frees the pages that it should serve, with -DCOMPLETE_ONCE a lost COMPLETE is not said
 * again, with -DADOPT_SPLIT an operator may let a copy run whose pages are elsewhere, with -DSTAND_SPLIT a split source
 * stands as others do when it hears of a higher epoch, with -DFORGET_HEARD it does not note that epoch: spin must
 * find each. Several attempts, three machines and boots are owners.pml's.
 */

mtype = { PREPARE, PREPARED, COMMIT, RUNNING, QUERY_ABORT, ABORT, ABORTED, UNKNOWN, PAGE, COMPLETE };
mtype = { SOURCE_OWNER, SOURCE_PREPARING, SOURCE_IN_DOUBT, SOURCE_SERVING, SOURCE_GONE, SOURCE_SUPERSEDED, DEAD }; /* source */
mtype = { DEST_RECEIVING, DEST_PREPARED, DEST_INCOMPLETE, DEST_RUNNING, DEST_ABORTED, LOST }; /* destination */

#ifndef LOSSES
#define LOSSES 3 /* broken links, at most */
#endif
#ifndef MISSING
#define MISSING 2 /* pages that a split attempt leaves at the source */
#endif
/* Epochs: the source's before the attempt, the attempt's, the one that force takes, a third machine's, and the one that
 * force takes above that. */
#define E_BEFORE 0
#define E 1
#define E_FORCED 2
#define E_THIRD 3
#define E_ABOVE 4

chan to_dest = [2] of { mtype };
chan to_source = [2] of { mtype };

mtype source = SOURCE_OWNER;
mtype dest = DEST_RECEIVING;
bool source_runs = true;
bool dest_runs = false;
bool source_has_copy = true;
bool dest_ran = false; /* under E, ever */
bool tried = false;    /* PREPARE was said: one attempt */
bool split = false;    /* it hands over before all pages are there */
byte missing = 0;      /* at the destination */
bool wish = false;     /* the operator would rather have it back */
bool source_crashed = false;
bool dest_crashed = false;
bool forced = false;
bool meddles = false; /* the source's operator uses force whatever the other side has */
bool wrong = false; /* force or adopt was used, though the other side may have it */
byte epoch = E_BEFORE; /* under which the source owns it */
bool heard = false; /* the split source has heard of the third machine's epoch; */
bool knew = false;  /* and then its operator used force */
bool third = false; /* another machine came to own it */
bool third_runs = false;
bool dest_stands = false; /* it ran under E, and heard of a higher epoch */
bool given_up = false; /* the source's operator gave up the copy in doubt */
bool settled = false; /* the destination's operator let the answer go */
bool adopted_split = false; /* an operator let a copy run that was not whole */
bool only_lost = false; /* the only whole copy was freed, and nobody had said so */
byte losses = LOSSES;
byte crashes = 1;

#define TWO (source_runs + dest_runs + third_runs > 1)
#define NONE (!source_runs && !dest_runs && !third_runs)
/* Stopped for the switch-over (SOURCE_PREPARING) the source resumes by itself; in doubt it has the memory. Of a guest whose
 * answer one operator has settled, the other one may give up the copy. */
#define EXCUSED (source == SOURCE_PREPARING || source == SOURCE_IN_DOUBT || source_crashed || dest_crashed || \
                 (settled && given_up))

/* The guest may run there while its pages are here. */
#define SPLIT_AWAY (source == SOURCE_SERVING || (source == SOURCE_IN_DOUBT && split))

#include "beside_c.pml"

/* A message is lost if its channel is full: the other side asks again. */
inline say(channel, message)
{
    if
    :: nfull(channel) -> channel!message
    :: full(channel) -> skip
    fi
}

inline resume()
{
    source_runs = true
}

/* The source hears of a higher epoch. */
inline stand()
{
    source = SOURCE_SUPERSEDED;
    source_runs = false
}

/* The destination lets the guest run: with pages missing it is incomplete. */
inline let_run()
{
    dest_runs = true;
    dest_ran = true;
    if
    :: split -> dest = DEST_INCOMPLETE
    :: !split -> dest = DEST_RUNNING
    fi
}

inline source_prepared()
{
    if
    :: source == SOURCE_PREPARING -> C_SOURCE_HEARS(PREPARED, ACTION_SAY_COMMIT)
       source = SOURCE_IN_DOUBT; say(to_dest, COMMIT)
    :: source == SOURCE_IN_DOUBT && wish -> C_SOURCE_HEARS(PREPARED, ACTION_SAY_QUERY) say(to_dest, QUERY_ABORT)
    :: source == SOURCE_IN_DOUBT && !wish -> C_SOURCE_HEARS(PREPARED, ACTION_SAY_COMMIT) say(to_dest, COMMIT)
    :: else -> C_SOURCE_HEARS(PREPARED, 0) skip
    fi
}

/* What was heard meanwhile counts now. */
inline source_aborted()
{
    C_SOURCE_HEARS(ABORTED, 0)
    if
    :: source == SOURCE_IN_DOUBT && heard -> source = SOURCE_SUPERSEDED
    :: source == SOURCE_PREPARING || (source == SOURCE_IN_DOUBT && !heard) -> source = SOURCE_OWNER; resume()
    :: else -> skip
    fi
}

inline source_running()
{
    C_SOURCE_HEARS(RUNNING, 0)
    if
    :: source == SOURCE_IN_DOUBT && split ->
       source = SOURCE_SERVING;
#ifdef FREE_AT_RUNNING
       source_has_copy = false;
#endif
       say(to_dest, PAGE)
    :: source == SOURCE_IN_DOUBT && !split -> source = SOURCE_GONE; source_has_copy = false
    :: source == SOURCE_SERVING -> say(to_dest, PAGE) /* one of those that it misses */
    :: else -> skip
    fi
}

/* A page comes. The last one makes the copy whole. */
inline supply()
{
    missing--;
    if
    :: missing == 0 -> C_DEST(WHOLE, ACTION_SAY_COMPLETE) dest = DEST_RUNNING; say(to_source, COMPLETE)
    :: missing > 0 -> say(to_source, RUNNING)
    fi
}

/* A connection breaks: what was on its way is gone, and both sides notice. */
inline break_link()
{
    do
    :: nempty(to_dest) -> to_dest?_
    :: nempty(to_source) -> to_source?_
    :: empty(to_dest) && empty(to_source) -> break
    od;
    C_SOURCE(LINK_LOST, 0)
    if
    :: source == SOURCE_PREPARING -> source = SOURCE_OWNER; resume()
    :: else -> skip
    fi;
    if
    :: tried -> C_DEST(LINK_LOST, NOBODY) skip
    :: else -> skip
    fi;
    if
    :: dest == DEST_RECEIVING && tried -> dest = DEST_ABORTED
    :: else -> skip
    fi
}

active proctype Source()
{
    mtype m;

end:
    do
    /* The guest stops; all is sent. */
    :: atomic { source == SOURCE_OWNER && !tried -> tried = true; source_runs = false; source = SOURCE_PREPARING;
                if
                :: split = true; missing = MISSING
                :: skip
                fi;
                C_BEGIN
                C_SOURCE(READY, ACTION_SAY_PREPARE)
                say(to_dest, PREPARE) }
    :: atomic { source == SOURCE_PREPARING -> C_SOURCE(CANCEL, ACTION_SAY_ABORT)
                source = SOURCE_OWNER; resume(); say(to_dest, ABORT) }
    /* A new connection, when nothing is under way by the old one: ask again. */
    :: atomic { source == SOURCE_IN_DOUBT && empty(to_dest) && empty(to_source) ->
                if
                :: wish -> C_SOURCE(LINK_BACK, ACTION_SAY_QUERY) say(to_dest, QUERY_ABORT)
                :: !wish -> C_SOURCE(LINK_BACK, ACTION_SAY_COMMIT) say(to_dest, COMMIT)
                fi }
    :: atomic { source == SOURCE_SERVING && empty(to_dest) && empty(to_source) ->
                C_SOURCE(LINK_BACK, ACTION_SAY_COMMIT)
                say(to_dest, COMMIT) }
    :: atomic { to_source?m ->
                if
                :: m == PREPARED -> source_prepared()
                :: m == ABORTED -> source_aborted()
                :: m == RUNNING -> source_running()
                :: m == COMPLETE -> C_SOURCE_HEARS(COMPLETE, 0)
                   if
                   :: SPLIT_AWAY -> source = SOURCE_GONE; source_has_copy = false
                   :: else -> skip
                   fi
                :: m == UNKNOWN -> C_SOURCE_HEARS(UNKNOWN, 0) skip /* stays in doubt, or serves nobody */
                fi;
                m = 0 }
    :: source == SOURCE_GONE || source == DEAD || source == SOURCE_SUPERSEDED -> break
    od
}

inline dest_receives()
{
    if
    :: m == PREPARE -> C_DEST(READY, ACTION_SAY_PREPARED) dest = DEST_PREPARED; say(to_source, PREPARED)
    :: m == PREPARE -> C_DEST(CANCEL, ACTION_SAY_ABORTED) dest = DEST_ABORTED; say(to_source, ABORTED) /* refused */
    :: m != PREPARE -> C_DEST(ABORT, ACTION_SAY_ABORTED) dest = DEST_ABORTED; say(to_source, ABORTED)
    fi
}

inline dest_decides()
{
    if
    :: m == COMMIT -> C_DEST(COMMIT, ACTION_SAY_RUNNING) let_run(); say(to_source, RUNNING)
    :: m == ABORT || m == QUERY_ABORT -> C_DEST(QUERY_ABORT, ACTION_SAY_ABORTED) dest = DEST_ABORTED;
       say(to_source, ABORTED)
    fi
}

active proctype Dest()
{
    mtype m;

end:
    do
    :: atomic { to_dest?m ->
                if
                :: dest == LOST -> say(to_source, UNKNOWN)
                :: dest == DEST_RECEIVING -> dest_receives()
                :: dest == DEST_PREPARED -> dest_decides()
                :: dest == DEST_INCOMPLETE && m == PAGE -> supply()
                :: dest == DEST_INCOMPLETE && m != PAGE -> C_DEST(QUERY, ACTION_SAY_RUNNING) say(to_source, RUNNING)
                :: dest == DEST_RUNNING && m == PAGE -> skip
#ifdef COMPLETE_ONCE
                :: dest == DEST_RUNNING && m != PAGE -> say(to_source, RUNNING)
#else
                :: dest == DEST_RUNNING && m != PAGE && split ->
                   C_DEST(QUERY, ACTION_SAY_RUNNING | ACTION_SAY_COMPLETE)
                   say(to_source, COMPLETE)
                :: dest == DEST_RUNNING && m != PAGE && !split -> C_DEST(QUERY, ACTION_SAY_RUNNING)
                   say(to_source, RUNNING)
#endif
                :: dest == DEST_ABORTED -> C_DEST(QUERY, ACTION_SAY_ABORTED) say(to_source, ABORTED)
                fi;
                m = 0 }
    /* A claim: its owner runs it again, under its old epoch. What it claims it will not say COMMIT to. */
    :: atomic { dest == DEST_PREPARED && source == SOURCE_OWNER && tried ->
                C_DEST(OWNER_HEARD, ACTION_SAY_ABORTED)
                dest = DEST_ABORTED; say(to_source, ABORTED) }
#ifdef HANDOFF_CLOCK
    :: atomic { dest == DEST_PREPARED -> dest = DEST_ABORTED; only_lost = !source_has_copy; say(to_source, ABORTED) }
#endif
    od
}

/* The source runs it under an epoch above all that it knows of. */
inline force()
{
    forced = true;
    knew = heard;
    if
#ifndef FORGET_HEARD
    :: heard -> epoch = E_ABOVE
    :: !heard -> epoch = E_FORCED
#else
    :: epoch = E_FORCED
#endif
    fi;
    C_SOURCE(FORCE_RESUME, 0)
    source = SOURCE_OWNER;
    resume()
}

/* A wish; and force, when he knows that the other machine has lost its copy, or thinks so wrongly. */
active proctype Operator()
{
    if
    :: meddles = true
    :: skip
    fi;
end:
    do
    :: atomic { source == SOURCE_IN_DOUBT && !wish -> C_SOURCE(CANCEL, ACTION_SAY_QUERY)
                wish = true; say(to_dest, QUERY_ABORT) }
    :: atomic { (source == SOURCE_IN_DOUBT || source == SOURCE_SERVING) && dest == LOST -> wrong = wrong || third;
                if
                :: force()
                :: C_SOURCE(FORCE_GIVE_UP, 0)
                   forced = true; source = SOURCE_GONE; source_has_copy = false; given_up = true
                fi }
    :: atomic { meddles && (source == SOURCE_IN_DOUBT || source == SOURCE_SERVING) && dest != LOST -> wrong = true;
                force() }
    :: source == SOURCE_GONE || source == DEAD -> break
    od
}

/* The other machine's: adopts what is prepared and whole, when he knows that the source is dead, or thinks so wrongly; or
 * gives it up. */
active proctype DestOperator()
{
end:
    do
#ifdef ADOPT_SPLIT
    :: atomic { dest == DEST_PREPARED -> forced = true; adopted_split = split; wrong = wrong || source != DEAD; let_run() }
#else
    :: atomic { dest == DEST_PREPARED && !split -> C_DEST(ADOPT, NOBODY)
                forced = true; wrong = wrong || source != DEAD; let_run() }
#endif
    :: atomic { dest == DEST_PREPARED -> C_DEST(CANCEL, ACTION_SAY_ABORTED)
                dest = DEST_ABORTED; say(to_source, ABORTED) }
    /* He settles the answer, and its place is given to another attempt. */
    :: atomic { dest == DEST_ABORTED || dest_stands -> settled = true; dest_stands = false; dest = LOST }
#ifdef SETTLE_RUNNING
    :: atomic { dest == DEST_RUNNING -> dest = LOST }
#endif
    :: dest == LOST || dest == DEST_ABORTED || dest == DEST_RUNNING || dest == DEST_INCOMPLETE -> break
    od
}

/* The guest moves on from the destination, and is forced on there; or an operator lets an old copy run. */
active proctype Third()
{
end:
    do
    :: atomic { !third && dest == DEST_RUNNING && dest_runs -> dest_runs = false; third = true; third_runs = true }
    :: atomic { !third && dest_ran -> wrong = true; third = true; third_runs = true }
    :: break
    od
}

/* Claims: repeated, so one arrives some time. Who owns it under the lower epoch stands, and what is prepared under a
 * lower one is freed. A split source that has said COMMIT notes the epoch, and its pages go on: the copy there, if it
 * runs, judges for itself. */
active proctype Claims()
{
end:
    do
    :: atomic { source == SOURCE_OWNER && epoch > E && dest == DEST_PREPARED -> C_DEST_CLAIM
                dest = DEST_ABORTED }
    :: atomic { source == SOURCE_OWNER && epoch > E && dest_runs -> C_DEST_CLAIM
                dest_stands = true; dest_runs = false }
    :: atomic { source == SOURCE_OWNER && epoch > E_THIRD && third_runs -> third_runs = false }
    :: atomic { source == SOURCE_OWNER && epoch < E && dest_runs -> C_SOURCE_CLAIM(E, 0)
                stand() }
    :: atomic { source == SOURCE_PREPARING && dest_runs -> C_SOURCE_CLAIM(E, ACTION_SAY_ABORT)
                stand(); say(to_dest, ABORT) }
    :: atomic { third_runs && dest_runs -> dest_stands = true; dest_runs = false }
    :: atomic { third_runs && source == SOURCE_OWNER && epoch < E_THIRD -> C_SOURCE_CLAIM(E_THIRD, 0)
                stand() }
    :: atomic { third_runs && SPLIT_AWAY && !heard -> C_SOURCE_CLAIM(E_THIRD, 0) heard = true }
    :: atomic { third_runs && source == SOURCE_IN_DOUBT && !SPLIT_AWAY -> C_SOURCE_CLAIM(E_THIRD, 0)
                stand() }
#ifdef STAND_SPLIT
    :: atomic { third_runs && (source == SOURCE_IN_DOUBT || source == SOURCE_SERVING) -> C_SOURCE_CLAIM(E_THIRD, 0)
                stand() }
#endif
    od
}

/* Links break and machines crash, a bounded number of times. */
active proctype Accidents()
{
end:
    do
    :: atomic { losses > 0 -> losses--; break_link() }
    :: atomic { crashes > 0 -> crashes--; source_crashed = true; source = DEAD; source_runs = false;
                source_has_copy = false; break_link() }
    :: atomic { crashes > 0 && dest != LOST -> crashes--; dest_crashed = true; dest = LOST; dest_runs = false;
                break_link() }
    :: break
    od
}

#define NONE_EXCUSED (NONE -> EXCUSED)
#define DOUBT_KEEPS ((source == SOURCE_IN_DOUBT || source == SOURCE_SERVING) -> source_has_copy)
#define SERVED (dest == DEST_INCOMPLETE -> ((source_has_copy || source_crashed || forced) && !adopted_split))
#define WHOLE_FIRST ((source == SOURCE_GONE && !given_up) -> (dest != DEST_INCOMPLETE))
#define NO_ROLLBACK ((source_runs && dest_ran) -> forced)
#define FORCED_ABOVE (knew -> source != SOURCE_SUPERSEDED)

ltl never_two { [] (TWO -> wrong) }
/* Force that was used wrongly makes two for a while, and the later epoch's stays. */
ltl two_end { [] (TWO -> <> (!TWO && (!NONE || source_crashed || dest_crashed))) }
ltl never_none { [] (NONE_EXCUSED) }
/* A whole copy that may be the only one is freed by an operator alone. */
ltl only_copy { [] (!only_lost) }
/* Doubt keeps the memory: whoever is in doubt, or serves, can still resume. */
ltl doubt_keeps { [] (DOUBT_KEEPS) }
/* What runs with pages missing has a source that keeps them, unless that crashed, or an operator took them. */
ltl served { [] (SERVED) }
/* A source frees nothing that is missing, but by an operator's word. */
ltl whole_first { [] (WHOLE_FIRST) }
/* And it becomes whole, also if it stands because another machine owns it. */
ltl completes { [] (dest == DEST_INCOMPLETE -> <> (dest != DEST_INCOMPLETE || source_crashed || forced)) }
/* A guest that ran there is never resumed here, but by force. */
ltl no_rollback { [] (NO_ROLLBACK) }
/* Force stands above what was heard while the source served. */
ltl forced_above { [] (FORCED_ABOVE) }
/* All of these, in one run. */
ltl all_safe { [] ((TWO -> wrong) && NONE_EXCUSED && !only_lost && DOUBT_KEEPS && SERVED && WHOLE_FIRST && NO_ROLLBACK && FORCED_ABOVE) }
/* Every attempt ends: with an owner again, given up here, or dead. */
ltl ends { [] (tried -> <> (source == SOURCE_OWNER || source == SOURCE_GONE || source == SOURCE_SUPERSEDED || source == DEAD)) }

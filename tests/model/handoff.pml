/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The handoff of docs/migration-stream.md, state for state as migrate/handoff.c has it: one source, one destination,
 * and * channels that lose messages, while either machine may crash and restart. One attempt at epoch E; retries of COMMIT
 * and QUERY come by new connections, so a channel is emptied when the link breaks.
 *
 * `make model` has spin check: never two running copies, but by an operator's wrong word, and then not for long; none
 * only with a source in doubt, because the machine that held it crashed, or because operators gave up both copies; the
 * only whole copy goes by an operator's word alone; no deadlock; and, losses and crashes being finite, every run ends.
 *
 * An attempt may be split (post-copy): the destination runs the guest while pages of it are missing. The source then
 * serves them until it hears COMPLETE. RUNNING of such a destination stands for the list of what it misses, too; PAGE
 * brings one of MISSING.
 *
 * With -DHANDOFF_CLOCK a prepared copy is freed by a time-out: spin must find that the only copy is lost. With
 * -DSETTLE_RUNNING the answer about a guest that runs is settled, too, and given away: spin must find two that run. With
 * -DFREE_AT_RUNNING a source frees the pages that it should serve, with -DCOMPLETE_ONCE a lost COMPLETE is not said
 * again, with -DADOPT_SPLIT an operator may let a copy run whose pages are elsewhere: spin must find each.
 * Several attempts, three machines and boots are owners.pml's.
 */

mtype = { PREPARE, PREPARED, COMMIT, RUNNING, QUERY, QUERY_ABORT, ABORT, ABORTED, UNKNOWN, PAGE, COMPLETE };
mtype = { SOURCE_OWNER, SOURCE_PREPARING, SOURCE_IN_DOUBT, SOURCE_SERVING, SOURCE_GONE, SOURCE_SUPERSEDED, DEAD }; /* source */
mtype = { DEST_RECEIVING, DEST_PREPARED, DEST_INCOMPLETE, DEST_RUNNING, DEST_ABORTED, DEST_SUPERSEDED, LOST }; /* destination */

#define LOSSES 3 /* broken links, at most */
#define MISSING 2 /* pages that a split attempt leaves at the source */

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
bool beyond = false; /* forced: the source owns an epoch above E */
bool given_up = false; /* the source's operator gave up the copy in doubt */
bool settled = false; /* the destination's operator let the answer go */
bool adopted_split = false; /* an operator let a copy run that was not whole */
bool only_lost = false; /* the only whole copy was freed, and nobody had said so */
byte losses = LOSSES;
byte crashes = 1;

#define TWO (source_runs && dest_runs)
#define NONE (!source_runs && !dest_runs)
/* Stopped for the switch-over (SOURCE_PREPARING) the source resumes by itself; in doubt it has the memory. Of a guest whose
 * answer one operator has settled, the other one may give up the copy. */
#define EXCUSED (source == SOURCE_PREPARING || source == SOURCE_IN_DOUBT || source_crashed || dest_crashed || \
                 (settled && given_up))

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

/* The source hears that the guest runs there. */
inline hand_over()
{
    if
#ifndef FREE_AT_RUNNING
    :: split -> source = SOURCE_SERVING; say(to_dest, PAGE)
#else
    :: split -> source = SOURCE_SERVING; source_has_copy = false; say(to_dest, PAGE)
#endif
    :: !split -> source = SOURCE_GONE; source_has_copy = false
    fi
}

/* A page comes. The last one makes the copy whole. */
inline supply()
{
    missing--;
    if
    :: missing == 0 -> dest = DEST_RUNNING; say(to_source, COMPLETE)
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
    if
    :: source == SOURCE_PREPARING -> source = SOURCE_OWNER; resume()
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
                say(to_dest, PREPARE) }
    :: atomic { source == SOURCE_PREPARING -> source = SOURCE_OWNER; resume(); say(to_dest, ABORT) } /* cancel */
    /* A new connection, when nothing is under way by the old one: ask again. */
    :: atomic { source == SOURCE_IN_DOUBT && empty(to_dest) && empty(to_source) ->
                if
                :: wish -> say(to_dest, QUERY_ABORT)
                :: !wish -> say(to_dest, COMMIT)
                fi }
    :: atomic { source == SOURCE_SERVING && empty(to_dest) && empty(to_source) -> say(to_dest, COMMIT) }
    :: atomic { to_source?m ->
                if
                :: source == SOURCE_PREPARING && m == PREPARED -> source = SOURCE_IN_DOUBT; say(to_dest, COMMIT)
                :: source == SOURCE_PREPARING && m == ABORTED -> source = SOURCE_OWNER; resume()
                :: source == SOURCE_IN_DOUBT && m == RUNNING -> hand_over()
                :: source == SOURCE_SERVING && m == RUNNING -> say(to_dest, PAGE) /* one of those that it misses */
                :: (source == SOURCE_IN_DOUBT || source == SOURCE_SERVING) && m == COMPLETE -> source = SOURCE_GONE;
                   source_has_copy = false
                :: source == SOURCE_IN_DOUBT && m == ABORTED -> source = SOURCE_OWNER; resume()
                :: source == SOURCE_IN_DOUBT && m == PREPARED ->
                   if
                   :: wish -> say(to_dest, QUERY_ABORT)
                   :: !wish -> say(to_dest, COMMIT)
                   fi
                :: else -> skip /* UNKNOWN: stays in doubt, or serves nobody */
                fi }
    :: source == SOURCE_GONE || source == DEAD || source == SOURCE_SUPERSEDED -> break
    od
}

active proctype Dest()
{
    mtype m;

end:
    do
    :: atomic { to_dest?m ->
                if
                :: dest == LOST -> say(to_source, UNKNOWN)
                :: dest == DEST_RECEIVING && m == PREPARE -> dest = DEST_PREPARED; say(to_source, PREPARED)
                :: dest == DEST_RECEIVING && m == PREPARE -> dest = DEST_ABORTED; say(to_source, ABORTED) /* refused */
                :: dest == DEST_RECEIVING && m != PREPARE -> dest = DEST_ABORTED; say(to_source, ABORTED)
                :: dest == DEST_PREPARED && m == COMMIT -> let_run(); say(to_source, RUNNING)
                :: dest == DEST_INCOMPLETE && m == PAGE -> supply()
                :: dest == DEST_INCOMPLETE && m != PAGE -> say(to_source, RUNNING)
                :: dest == DEST_PREPARED && (m == ABORT || m == QUERY_ABORT) -> dest = DEST_ABORTED;
                   say(to_source, ABORTED)
                :: dest == DEST_PREPARED && (m == QUERY || m == PREPARE) -> say(to_source, PREPARED)
                #ifdef COMPLETE_ONCE
                :: dest == DEST_RUNNING || dest == DEST_SUPERSEDED -> say(to_source, RUNNING)
#else
                :: (dest == DEST_RUNNING || dest == DEST_SUPERSEDED) && !missing && split -> say(to_source, COMPLETE)
                :: (dest == DEST_RUNNING || dest == DEST_SUPERSEDED) && (missing || !split) -> say(to_source, RUNNING)
#endif
                :: dest == DEST_ABORTED -> say(to_source, ABORTED)
                fi }
    /* A claim: its owner runs it again, under its old epoch. What it claims it will not say COMMIT to. */
    :: atomic { dest == DEST_PREPARED && source == SOURCE_OWNER && tried -> dest = DEST_ABORTED;
                say(to_source, ABORTED) }
#ifdef HANDOFF_CLOCK
    :: atomic { dest == DEST_PREPARED -> dest = DEST_ABORTED; only_lost = !source_has_copy; say(to_source, ABORTED) }
#endif
    od
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
    :: atomic { source == SOURCE_IN_DOUBT && !wish -> wish = true; say(to_dest, QUERY_ABORT) }
    :: atomic { (source == SOURCE_IN_DOUBT || source == SOURCE_SERVING) && dest == LOST -> forced = true;
                if
                :: source = SOURCE_OWNER; resume()
                :: source = SOURCE_GONE; source_has_copy = false; given_up = true
                fi }
    :: atomic { meddles && (source == SOURCE_IN_DOUBT || source == SOURCE_SERVING) && dest != LOST -> forced = true;
                wrong = true; beyond = true; source = SOURCE_OWNER; resume() }
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
    :: atomic { dest == DEST_PREPARED && !split -> forced = true; wrong = wrong || source != DEAD; let_run() }
#endif
    :: atomic { dest == DEST_PREPARED -> dest = DEST_ABORTED; say(to_source, ABORTED) }
    /* He settles the answer, and its place is given to another attempt. */
    :: atomic { dest == DEST_ABORTED || dest == DEST_SUPERSEDED -> settled = true; dest = LOST }
#ifdef SETTLE_RUNNING
    :: atomic { dest == DEST_RUNNING -> dest = LOST }
#endif
    :: dest == LOST || dest == DEST_ABORTED || dest == DEST_RUNNING || dest == DEST_SUPERSEDED ||
       dest == DEST_INCOMPLETE -> break
    od
}

/* Claims: repeated, so one arrives some time. What is prepared or runs under E hears of the source's epoch beyond; a
 * source that runs under its old one hears of E. */
active proctype Claims()
{
end:
    do
    :: atomic { beyond && source == SOURCE_OWNER && dest == DEST_PREPARED -> dest = DEST_ABORTED }
    :: atomic { beyond && source == SOURCE_OWNER && (dest == DEST_RUNNING || dest == DEST_INCOMPLETE) ->
                dest = DEST_SUPERSEDED; dest_runs = false }
    :: atomic { !beyond && (source == SOURCE_OWNER || source == SOURCE_PREPARING) && dest_runs ->
                source = SOURCE_SUPERSEDED; source_runs = false }
    :: source == SOURCE_GONE || source == DEAD || source == SOURCE_SUPERSEDED -> break
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

ltl never_two { [] (TWO -> wrong) }
/* Force that was used wrongly makes two for a while, and the later epoch's stays. */
ltl two_end { [] (TWO -> <> (!TWO && (source_runs || dest_runs || source_crashed || dest_crashed))) }
ltl never_none { [] (NONE -> EXCUSED) }
/* A whole copy that may be the only one is freed by an operator alone. */
ltl only_copy { [] (!only_lost) }
/* Doubt keeps the memory: whoever is in doubt, or serves, can still resume. */
ltl doubt_keeps { [] ((source == SOURCE_IN_DOUBT || source == SOURCE_SERVING) -> source_has_copy) }
/* What runs with pages missing has a source that keeps them, unless that crashed, or an operator took them. */
ltl served { [] (dest == DEST_INCOMPLETE -> ((source_has_copy || source_crashed || forced) && !adopted_split)) }
/* A source frees nothing that is missing, but by an operator's word. */
ltl whole_first { [] ((source == SOURCE_GONE && !given_up) -> (dest != DEST_INCOMPLETE)) }
/* And it becomes whole. */
ltl completes { [] (dest == DEST_INCOMPLETE -> <> (dest != DEST_INCOMPLETE || source_crashed || forced)) }
/* A guest that ran there is never resumed here, but by force. */
ltl no_rollback { [] ((source_runs && dest_ran) -> forced) }
/* Every attempt ends: with an owner again, given up here, or dead. */
ltl ends { [] (tried -> <> (source == SOURCE_OWNER || source == SOURCE_GONE || source == SOURCE_SUPERSEDED || source == DEAD)) }

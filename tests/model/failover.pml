/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may speak for a protected guest (docs/failover-protocol.md): two machines, either of which may be the primary P or
 * the secondary S, and a witness with one deed, changed by compare-and-swap only. Machine 0 begins with the guest, and
 * both have it in their configurations. Whoever runs it alone protects it at the other one, ATTEMPTS times in all. The
 * guest counts: a step is an output, and a checkpoint is how far it has come. Links break and come back, machines crash
 * and are started anew, and a timer tells of a silence that there was not, each a bounded number of times (the budgets
 * below), at any moment. A swap that was sent may be done at any later time, also when its sender has asked again, has
 * crashed or has gone on, or never if it has crashed; its answer may never come, and with -DOLD_ANSWERS be old. So a
 * witness that can't be reached needs no budget. Claims are lost, too.
 *
 * With -DWORDS=1 operators use force, rightly or not, and give copies up (failover_words.pml). With -DNO_WITNESS there is
 * none: P is alone as soon as it parts, and S runs the guest on COMMIT, or by an operator's word.
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
 * And of words and claims, in their bounds:
 *   FALSE_WORD     an operator's word is false
 *   FORCE_EQUAL    S, which is forced, runs under E itself
 *   DEAF           an owner does not hear a claim of a higher epoch
 *   GIVE_UP_ABORTED S, whose copy is given up, says ABORTED though it has sent a swap
 * And without a witness:
 *   STARTS_ITSELF  S goes on when P is silent
 *   HANDED_BACK    P goes on when it has said COMMIT and the link is gone
 *   OWNER_ANYTIME  the claim of P frees S's copy while P protects, too
 *   OWNER_UNHEARD  no claim frees S's copy
 *
 * What each record of the handoff does is handoff.pml's.
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
#ifndef WORDS
#define WORDS 0    /* of operators, by force */
#endif

/* Records; PAGES stands for all that comes before CHECKPOINT. */
mtype = { PREPARE, PREPARED, PAGES, CHECKPOINT, CHECKPOINTED, QUERY, ABORT, ABORTED, COMMIT, RUNNING };
/* What a machine has of the guest: enum guard_state of protect/guard.h. Nothing, too, if the guest is elsewhere. */
mtype = { DOWN, NOTHING, GUARD_ALONE, GUARD_JOINING, GUARD_PROTECTED, GUARD_PARTING, GUARD_HANDED, GUARD_LOST,
          GUARD_STANDBY, GUARD_ASKING };
mtype = { SUPERSEDED }; /* it stands without a guard (SOURCE_SUPERSEDED): an operator decides */

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
byte own[2];    /* under which this copy runs: so it is claimed */
byte pair[2];   /* who the other one is in this attempt */
byte want[2];   /* the deed that is asked for */
bool queried[2]; /* QUERY was said in this state */
#ifdef NO_WITNESS
byte freed[2];  /* the attempt whose copy was freed here, as is remembered */
#define WILL_ANSWER(h) ((guard[h] == GUARD_ALONE && own[h] == epoch[OTHER(h)]) || guard[h] == GUARD_STANDBY || \
                        (guard[h] == NOTHING && freed[h] == epoch[OTHER(h)]))
#endif
bool asked[2];  /* a swap was sent in this state */
bool followed[2]; /* GUARD_ALONE: the deed has said so */
#ifdef OLD_ANSWERS
#define UNSEEN 255
byte seen[2] = UNSEEN; /* the deed, as it was when the last answer was under way */
#define SEEN(h) seen[h]
#define ANSWERED(h) (seen[h] != UNSEEN)
#define UNANSWERED(h) seen[h] = UNSEEN;
/* Who starts it anew has the answer to its swap. */
#define READS(h) (guard[h] != DOWN && guard[h] != GUARD_PROTECTED && guard[h] != GUARD_STANDBY && !followed[h] && \
                  !(guard[h] == NOTHING && asked[h] && len(swap[h]) > 0))
#else
#define SEEN(h) deed
#define ANSWERED(h) true
#define UNANSWERED(h)
#endif
bool ready[2];  /* PREPARED has come */
bool committed[2]; /* COMMIT was said: a claim of E is no news */
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

/* Of operators' words (failover_words.pml). */
byte words = WORDS;
bool sworn[2];  /* the other machine's operator has said that no copy here runs, and none will */
bool wrong;     /* and one does */
bool forced[2]; /* it runs by such a word, and the deed does not say so yet */
bool apart;     /* somebody spoke alone since there were two copies */
bool behind;    /* a copy was forced that does not contain all of that */
bool given_up;  /* by an operator */
bool decided;   /* the last that happened, of all this and of failures, was that an operator let a copy run */

#define OTHER(h) (1 - h)


#include "beside_guard.pml"

#define OPEN(h) (guard[h] == GUARD_ALONE)
#define TWO (OPEN(0) && OPEN(1))
#define RUNS(h) (OPEN(h) || guard[h] == GUARD_PROTECTED || guard[h] == GUARD_PARTING || \
                 (guard[h] == GUARD_JOINING && ready[h]))
#define GUARDED(h) (guard[h] == GUARD_JOINING || guard[h] == GUARD_PROTECTED || guard[h] == GUARD_PARTING)
#define STANDS(h) (guard[h] == GUARD_LOST || guard[h] == SUPERSEDED)
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

/* A copy runs here: was it said that none would? */
inline runs_after_all(h)
{
    wrong = wrong || sworn[h];
    apart = true
}

/* Above all that attempts and boots come to, and not the same at two machines. */
#define EPOCH_FORCE(h) (ATTEMPTS + BOOTS + h)

/* The guest has this epoch from now on, as has the next deed. */
inline go_above(h)
{
    epoch[h] = epoch[h] + EPOCH_FORCE(h);
    own[h] = epoch[h];
    assert(epoch[h] < 15)
}

/* Outputs up to v leave machine h. */
inline release(h, v)
{
    if
    :: runner == h -> released = MAX(released, v)
    :: runner != h && v > base -> untrue = !wrong
    :: else -> skip
    fi
}

inline free_copy(h)
{
    guard[h] = NOTHING;
#ifdef NO_WITNESS
    freed[h] = epoch[h];
#endif
    at[h] = 0;
    own[h] = 0;
    epoch[h] = 0;
    pair[h] = 0;
    reset(h)
}

inline reset(h)
{
    asked[h] = false;
    followed[h] = false;
    UNANSWERED(h)
    queried[h] = false;
    ready[h] = false;
    committed[h] = false;
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
#if WORDS == 0
    followed[h] = deed == want[h]; /* nobody else changes it then */
#endif
    runs_after_all(h);
    release(h, at[h])
}

/* S goes on with its copy. */
inline take_over(h)
{
    runs_after_all(h);
    untrue = untrue || (released > at[h] && !wrong);
    mixed = mixed || torn[h];
    runner = h;
    base = at[h];
    own[h] = epoch[h];
    alone(h);
    say(h, OTHER(h), RUNNING, epoch[h], 0)
}

inline lose(h)
{
    guard[h] = GUARD_LOST;
#if WORDS == 0
    at[h] = 0;
#endif
    reset(h)
}

inline part(h)
{
    guard[h] = GUARD_PARTING;
    under[h] = false;
    asked[h] = false;
    connected = false;
    UNANSWERED(h)
    want[h] = DEED(epoch[h], ME(h), ME(h))
}

#include "failover_machines.pml"

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
             own[0] = 1;
             want[0] = deed;
             select (planned: 0 .. PLANNED);
             select (failures_left: 0 .. FAILURES) }
end:
    do
    :: atomic { nempty(swap[0]) -> do_swap(0) }
    :: atomic { nempty(swap[1]) -> do_swap(1) }
    od
}

#ifdef OLD_ANSWERS
/* Answers of the witness. However old one is, a newer one comes some time: so they are a process of their own. */
active proctype Answers()
{
end:
    do
    :: atomic { READS(0) && seen[0] != deed -> seen[0] = deed }
    :: atomic { READS(1) && seen[1] != deed -> seen[1] = deed }
    od
}
#endif

#define COVERED(h) (guard[h] == GUARD_PROTECTED || guard[h] == GUARD_HANDED)
inline crash(h)
{
    fail();
    bare = bare || (runner == h -> !COVERED(h) : handing);
    C_END(h)
    if
    :: nempty(swap[h]) -> swap[h]?f, t /* it may never be done */
    :: skip
    fi;
    f = 0;
    t = 0;
    free_copy(h);
#ifdef NO_WITNESS
    freed[h] = 0;
#endif
    guard[h] = DOWN;
    connected = false;
    silence()
}

active proctype Accidents()
{
    byte f, t;

end:
    do
    :: atomic { failures_left > 0 && link -> fail(); link = false; connected = false; silence() }
    :: atomic { !link -> link = true }
    :: atomic { failures_left > 0 && guard[0] != DOWN && guard[0] != 0 -> crash(0) }
    :: atomic { failures_left > 0 && guard[1] != DOWN && guard[1] != 0 -> crash(1) }
    od
}

#include "failover_words.pml"

#define SPEAKS(h) (OPEN(h) || (guard[h] == GUARD_PROTECTED && S_BEATS(OTHER(h))))
/* Only an operator knows: a machine does not come back; a copy that has lost is the last one; P has died before the deed
 * named S. */
#ifdef NO_WITNESS
#define WAITS(h) (guard[h] == DOWN || STANDS(h) || guard[h] == GUARD_STANDBY || guard[h] == GUARD_HANDED || \
                  (guard[h] == NOTHING && (boots[h] > 0 || given_up)))
#define MORE_THAN_ONE true
#else
#define WAITS(h) (guard[h] == DOWN || STANDS(h) || \
                  (guard[h] == GUARD_ASKING && EPOCH(deed) < epoch[h] && OWNER(deed) != ME(OTHER(h))))
#define MORE_THAN_ONE (failures > 1 || bare || given_up || wrong)
#endif
/* One failure is endured, and where an operator has decided the guest goes on. */
#define MUST_SPEAK (!MORE_THAN_ONE || decided)
/* In the end the deed names who speaks, and who has asked knows that. Without a witness no copy is kept that its owner's
 * claims have made void. */
#ifdef NO_WITNESS
#define DISAGREES(h) (guard[h] == GUARD_STANDBY && pair[h] == ME(OTHER(h)) && OPEN(OTHER(h)))
#else
#define DISAGREES(h) (OPEN(h) && (OWNER(deed) != ME(h) || guard[OTHER(h)] == GUARD_ASKING))
#endif
#define WILL_SPEAK (SPEAKS(0) || SPEAKS(1) || (!MUST_SPEAK && (WAITS(0) || WAITS(1))))
active proctype Quiet()
{
end:
    atomic { timeout -> stuck = !WILL_SPEAK || TWO ||
                                ((!wrong || decided) && (DISAGREES(0) || DISAGREES(1) ||
                                 (attempts > 0 && (OPEN(0) || OPEN(1)) && !WAITS(0) && !WAITS(1)))) }
}

/* --- Properties --------------------------------------------------------------------------------------------------- */

#ifdef NO_WITNESS
/* A copy is left, which an operator may let run; and what shows `protected` has one. */
#define LIVES(h) HAS(h)
#define TRULY(h) (guard[h] != GUARD_PROTECTED || !connected || guard[OTHER(h)] == GUARD_STANDBY || ABORTED_COMES(h))
#define ABORTED_COMES(h) (to[h]??[ABORTED(eval(epoch[h]), 0)])
#else
/* Can this copy go on, by the deed? */
#define LIVES(h) (HAS(h) && !STANDS(h) && \
                  (OPEN(h) || OWNER(deed) == ME(h) || (STANDS_BY(h) && deed == EXPECTED(h))))
#define TRULY(h) (guard[h] != GUARD_PROTECTED || deed == DEED(epoch[h], ME(h), pair[h]) || OWNER(deed) != ME(h))
#endif
#define LOST (guard[0] != 0 && !LIVES(0) && !LIVES(1) && life == 1)

#ifdef FALSE_WORD
#define ONE_SPEAKS (!TWO)
#else
#define ONE_SPEAKS (TWO -> wrong)
#endif
#define ONE_FAILURE (!LOST || failures > 1 || bare || given_up || wrong)

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
/* If a wrong word makes two speak, one of them stands as soon as it hears the other one. */
ltl owners_meet { [] (TWO -> <> (!TWO)) }
/* As long as there was one failure, somebody speaks again. */
ltl speaks_again { [] <> (MORE_THAN_ONE || SPEAKS(0) || SPEAKS(1)) }
/* All of these, in one run. */
ltl all_safe { [] (ONE_SPEAKS && !untrue && !mixed && ONE_FAILURE && TRULY(0) && TRULY(1) && !stuck) }

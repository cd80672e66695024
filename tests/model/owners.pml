/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who owns a guest on a link of three machines (docs/claims.md, docs/migration-stream.md "Handoff"). Machine 0
 * begins as its owner and has it in its configuration: started anew, it asks before it starts the guest again. Any
 * owner may begin an attempt to any other machine, two attempts in all; so the guest can move on, come home, or be
 * tried again. Links break, machines crash, questions stay unheard and operators use force, each a bounded number of
 * times (the budgets below). What one attempt's messages do to each other is handoff.pml's; here they are taken one by
 * one, too, but a lost link loses all of them.
 *
 * `make model` has spin check the properties at the end, and that it finds one violated in each version without a mend:
 *   NO_ASK         a machine that is started anew starts the guests of its configuration without a question
 *   CLOCK          a prepared copy is freed by a time-out
 *   NO_OWNER       claims carry no owner number: an equal epoch is taken for one's own
 *   ANY_OWNER      a prepared copy is freed when any owner is heard under an older epoch, not only its source's boot
 *   EARLY          the same, though the claim may have been said before PREPARE
 *   STRANDED_ONLY  a question is answered neither by a source that prepares, nor by a destination that is prepared and
 *                  whose connection still stands
 *   OWN_EPOCH      an owner claims its own epoch only, also to who can't believe so high a one
 *
 * Not here: two machines that have the guest in their configurations and ask at the same moment. The one of the lower
 * owner number starts it (owners/asking.c). That one of two owners judges whose copy is the younger is one step here.
 */

#ifndef LOSSES
#define LOSSES 1  /* broken links */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef FORCES
#define FORCES 1  /* operators' words */
#endif
#ifndef UNHEARD
#define UNHEARD 1 /* questions of a boot that nobody hears */
#endif

#define MACHINES 3
#define ATTEMPTS 2
#define EPOCH_FORCE 4 /* more than attempts take */
/* A claim is noise if its epoch is further above what is known. What several forces in a row come to, beyond what a
 * machine knows that has not heard them, one does here; and attempts do not. */
#define EPOCH_STEP 5

/* Messages of the handoff. */
mtype = { PREPARE, PREPARED, COMMIT, RUNNING, QUERY_ABORT, ABORT, ABORTED, UNKNOWN };
/* What a machine has of the guest: enum source_state and enum dest_state of owners/handoff.h. */
mtype = { NOTHING, DOWN, ELSEWHERE, SOURCE_OWNER, SOURCE_PREPARING, SOURCE_IN_DOUBT, SOURCE_SUPERSEDED };
mtype = { DEST_RECEIVING, DEST_PREPARED, DEST_RUNNING, DEST_ABORTED };

/* By machine. */
mtype copy[MACHINES];
byte epoch[MACHINES];
byte proposed[MACHINES];
byte known[MACHINES]; /* as destination: the highest that is remembered */
byte boots[MACHINES]; /* with the machine's number: its owner number */
byte born[MACHINES];  /* copies are numbered as they begin to run; the elder one has the lower number */
byte life[MACHINES];  /* 1: the guest as it was; 2: started anew */

/* By attempt. */
byte from[ATTEMPTS], to[ATTEMPTS], attempt_epoch[ATTEMPTS], from_boot[ATTEMPTS];
mtype answer[ATTEMPTS]; /* what the destination knows of it; NOTHING: it has been started anew */
bool session[ATTEMPTS]; /* the destination takes the connection to be alive */
bool wish[ATTEMPTS];    /* its source's operator would rather have the guest back */
chan to_dest[ATTEMPTS] = [1] of { mtype };
chan to_source[ATTEMPTS] = [1] of { mtype };

byte attempts, born_last; /* born_last 0: nothing has begun */
byte losses = LOSSES, crashes = CRASHES, forces = FORCES, unheard_left = UNHEARD;
bool wrong;       /* force or adopt was used, though another machine has a copy */
bool unheard;     /* the guest was started anew, for its question did not come through */
bool given_up;    /* an operator gave up a copy */
bool died;        /* a machine took a copy with it */
bool only_lost;   /* a copy was freed that was the only one of its life, and nobody had said so */
bool anew;        /* a question was heard, and the guest was started though there was a copy */
bool rolled_back; /* it was resumed though it had run at the destination, and nobody had said so */

#define RUNS(m) (copy[m] == SOURCE_OWNER)
#define TWO (RUNS(0) + RUNS(1) + RUNS(2) > 1)
#define NONE (!RUNS(0) && !RUNS(1) && !RUNS(2))
#define STOPS(m) (copy[m] == SOURCE_PREPARING || copy[m] == SOURCE_IN_DOUBT || copy[m] == SOURCE_SUPERSEDED)
#define WHOLE(m) (RUNS(m) || STOPS(m) || copy[m] == DEST_PREPARED)
#define ANOTHER(m) (WHOLE((m + 1) % MACHINES) || WHOLE((m + 2) % MACHINES))
#define SAME_LIFE(m, o) (WHOLE(o) && life[o] == life[m])
#define SAME_ELSEWHERE(m) (SAME_LIFE(m, (m + 1) % MACHINES) || SAME_LIFE(m, (m + 2) % MACHINES))
/* Its source is in this attempt: no later one, and not started anew since. */
#define SOURCE_IN(k, state) (k < attempts && copy[from[k]] == state && proposed[from[k]] == attempt_epoch[k] && \
                             from_boot[k] == boots[from[k]])
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* A message is lost if its channel is full: the other side asks again. */
inline say(channel, message)
{
    if
    :: nfull(channel) -> channel!message
    :: full(channel) -> skip
    fi
}

inline silence(channel)
{
    do
    :: nempty(channel) -> channel?_
    :: empty(channel) -> break
    od
}

inline own(m, with)
{
    copy[m] = SOURCE_OWNER;
    epoch[m] = with;
    proposed[m] = MAX(proposed[m], with)
}

inline forget(m)
{
    copy[m] = NOTHING;
    epoch[m] = 0;
    proposed[m] = 0;
    born[m] = 0;
    life[m] = 0
}

/* The destination runs it. */
inline let_go(k)
{
    answer[k] = DEST_RUNNING;
    born_last++;
    born[to[k]] = born_last;
    own(to[k], attempt_epoch[k])
}

/* The destination frees its copy. By the word of an operator, or of a source that had the guest when it said so, it may.
 */
inline abort_attempt(k, by_word)
{
    if
    :: answer[k] == DEST_PREPARED && !(by_word) && !SAME_ELSEWHERE(to[k]) -> only_lost = true
    :: else -> skip
    fi;
    answer[k] = DEST_ABORTED;
    forget(to[k]);
    say(to_source[k], ABORTED)
}

inline go_on(k)
{
    if
    :: answer[k] == DEST_RUNNING && !wrong -> rolled_back = true
    :: else -> skip
    fi;
    copy[from[k]] = SOURCE_OWNER
}

/* The source notices that its connection is gone. */
inline source_link_lost(k)
{
    silence(to_source[k]);
    if
    :: SOURCE_IN(k, SOURCE_PREPARING) -> go_on(k)
    :: else -> skip
    fi
}

inline dest_link_lost(k)
{
    silence(to_dest[k]);
    session[k] = false;
    if
    :: answer[k] == DEST_RECEIVING -> abort_attempt(k, false)
    :: else -> skip
    fi
}

/* An owner tries to move it: setup and pre-copy have gone well, the guest stops. An attempt of the same boot that has
 * left a prepared copy there is void. */
inline begin(m, d)
{
    k = attempts;
    if
    :: attempts > 0 && answer[0] == DEST_PREPARED && to[0] == d -> abort_attempt(0, false); silence(to_source[0])
    :: else -> skip
    fi;
    attempts++;
    from[k] = m;
    to[k] = d;
    from_boot[k] = boots[m];
    proposed[m] = MAX(proposed[m], known[d]) + 1;
    attempt_epoch[k] = proposed[m];
    known[d] = proposed[m];
    copy[m] = SOURCE_PREPARING;
    copy[d] = DEST_RECEIVING;
    life[d] = life[m];
    answer[k] = DEST_RECEIVING;
    session[k] = true;
    to_dest[k]!PREPARE;
    k = 0
}

#define VOID(m, d) (copy[d] == DEST_PREPARED && attempts == 1 && !session[0] && from[0] == m && \
                    from_boot[0] == boots[m])
#define TAKES(m, d) (copy[d] == NOTHING || copy[d] == ELSEWHERE || VOID(m, d))
#define ASKS_AGAIN(k) (wish[k] -> QUERY_ABORT : COMMIT)
inline source_step(k)
{
    if
    :: SOURCE_IN(k, SOURCE_PREPARING) -> copy[from[k]] = SOURCE_OWNER; say(to_dest[k], ABORT) /* cancel */
    /* A new connection, when nothing is under way by the old one. */
    :: SOURCE_IN(k, SOURCE_IN_DOUBT) && empty(to_dest[k]) && empty(to_source[k]) && copy[to[k]] != DOWN ->
       session[k] = true;
       to_dest[k]!ASKS_AGAIN(k)
    :: nempty(to_source[k]) ->
       to_source[k]?m;
       if
       :: SOURCE_IN(k, SOURCE_PREPARING) && m == PREPARED -> copy[from[k]] = SOURCE_IN_DOUBT; say(to_dest[k], COMMIT)
       :: SOURCE_IN(k, SOURCE_PREPARING) && m == ABORTED -> go_on(k)
       :: SOURCE_IN(k, SOURCE_IN_DOUBT) && m == RUNNING -> forget(from[k])
       :: SOURCE_IN(k, SOURCE_IN_DOUBT) && m == ABORTED -> go_on(k)
       :: SOURCE_IN(k, SOURCE_IN_DOUBT) && m == PREPARED -> say(to_dest[k], ASKS_AGAIN(k))
       :: else -> skip
       fi;
       m = 0
    fi
}

inline dest_step(k)
{
    if
    :: nempty(to_dest[k]) ->
       to_dest[k]?m;
       if
       :: answer[k] == NOTHING -> say(to_source[k], UNKNOWN)
       :: answer[k] == DEST_RECEIVING && m == PREPARE ->
          answer[k] = DEST_PREPARED;
          copy[to[k]] = DEST_PREPARED;
          say(to_source[k], PREPARED)
       :: answer[k] == DEST_RECEIVING -> abort_attempt(k, false) /* refused, or ABORT */
       :: answer[k] == DEST_PREPARED && m == COMMIT -> let_go(k); say(to_source[k], RUNNING)
       :: answer[k] == DEST_PREPARED && (m == ABORT || m == QUERY_ABORT) -> abort_attempt(k, true)
       :: answer[k] == DEST_RUNNING -> say(to_source[k], RUNNING)
       :: answer[k] == DEST_ABORTED -> say(to_source[k], ABORTED)
       fi;
       m = 0
    /* Its source has crashed, or left this connection: it hears no more of it. */
    :: session[k] && empty(to_dest[k]) && !SOURCE_IN(k, SOURCE_PREPARING) && !SOURCE_IN(k, SOURCE_IN_DOUBT) ->
       dest_link_lost(k)
#ifdef CLOCK
    :: answer[k] == DEST_PREPARED && !session[k] -> abort_attempt(k, false)
#endif
    fi
}

#ifdef STRANDED_ONLY
#define HOLDS(o) (copy[o] == SOURCE_IN_DOUBT || copy[o] == SOURCE_SUPERSEDED || \
                  (copy[o] == DEST_PREPARED && !(answer[0] == DEST_PREPARED && to[0] == o && session[0]) && \
                   !(answer[1] == DEST_PREPARED && to[1] == o && session[1])))
#else
#define HOLDS(o) (STOPS(o) || copy[o] == DEST_PREPARED)
#endif
#define ANSWERS(o) (RUNS(o) || HOLDS(o))

/* Machine 0 has been started anew. A boot takes longer than what it had said before its crash. */
inline boot()
{
    boots[0]++;
    if
#ifndef NO_ASK
    :: ANSWERS(1) -> copy[0] = ELSEWHERE; epoch[0] = MAX(epoch[1], proposed[1])
    :: ANSWERS(2) -> copy[0] = ELSEWHERE; epoch[0] = MAX(epoch[2], proposed[2])
    :: (ANSWERS(1) || ANSWERS(2)) && unheard_left > 0 -> unheard_left--; unheard = true; start_anew(1)
    :: !ANSWERS(1) && !ANSWERS(2) -> anew = ANOTHER(0); start_anew(1)
#else
    :: start_anew(1)
#endif
    fi
}

inline start_anew(with)
{
    born_last++;
    born[0] = born_last;
    life[0] = 2;
    own(0, with)
}

active proctype Machines()
{
    mtype m;
    byte k;

    atomic { copy[0] = SOURCE_OWNER; copy[1] = NOTHING; copy[2] = NOTHING; epoch[0] = 1; proposed[0] = 1; born[0] = 1;
             born_last = 1; life[0] = 1; answer[0] = NOTHING; answer[1] = NOTHING }
end:
    do
    :: atomic { attempts < ATTEMPTS && RUNS(0) && TAKES(0, 1) -> begin(0, 1) }
    :: atomic { attempts < ATTEMPTS && RUNS(0) && TAKES(0, 2) -> begin(0, 2) }
    :: atomic { attempts < ATTEMPTS && RUNS(1) && TAKES(1, 0) -> begin(1, 0) }
    :: atomic { attempts < ATTEMPTS && RUNS(1) && TAKES(1, 2) -> begin(1, 2) }
    :: atomic { source_step(0) }
    :: atomic { source_step(1) }
    :: atomic { dest_step(0) }
    :: atomic { dest_step(1) }
    :: atomic { copy[0] == DOWN && (from[0] != 0 || empty(to_dest[0])) && (from[1] != 0 || empty(to_dest[1])) ->
                boot() }
    od
}

/* x claims it, and y hears that. Claims are repeated, so one arrives some time. */
inline stand(y)
{
    if
    :: copy[y] == SOURCE_PREPARING && SOURCE_IN(0, SOURCE_PREPARING) && from[0] == y -> say(to_dest[0], ABORT)
    :: copy[y] == SOURCE_PREPARING && SOURCE_IN(1, SOURCE_PREPARING) && from[1] == y -> say(to_dest[1], ABORT)
    :: else -> skip
    fi;
    copy[y] = SOURCE_SUPERSEDED
}

#define KNOWN(y) (copy[y] == SOURCE_IN_DOUBT || copy[y] == SOURCE_SUPERSEDED -> proposed[y] : epoch[y])
#define NOISE(y, said) ((said) > proposed[y] + EPOCH_STEP)
/* Under which epoch x claims it, when it has heard y do so. */
#ifdef OWN_EPOCH
#define SAYS(x, y) epoch[x]
#else
#define SAYS(x, y) (RUNS(y) && epoch[x] > epoch[y] + EPOCH_STEP -> epoch[y] + EPOCH_STEP : epoch[x])
#endif
#define LOSES(y) (copy[y] == SOURCE_OWNER || copy[y] == SOURCE_PREPARING)

#ifdef ANY_OWNER
#define OWNER_BACK(x, k) RUNS(x)
#else
#ifdef EARLY
#define OWNER_BACK(x, k) (from[k] == x)
#else
#define OWNER_BACK(x, k) (RUNS(x) && from[k] == x && from_boot[k] == boots[x])
#endif
#endif

inline hear_owner(x, y)
{
    if
    :: atomic { RUNS(x) && (RUNS(y) || STOPS(y)) && SAYS(x, y) > KNOWN(y) && !NOISE(y, SAYS(x, y)) ->
                proposed[y] = MAX(proposed[y], SAYS(x, y));
                stand(y) }
#ifndef NO_OWNER
    :: atomic { RUNS(x) && LOSES(y) && epoch[x] == epoch[y] && born[x] < born[y] -> stand(y) }
#endif
    fi
}

inline hear_dest(k, x)
{
    if
    :: atomic { answer[k] == DEST_PREPARED && !session[k] && OWNER_BACK(x, k) && epoch[x] < attempt_epoch[k] ->
                abort_attempt(k, false) }
    :: atomic { (answer[k] == DEST_PREPARED || answer[k] == DEST_RECEIVING) && RUNS(x) && x != to[k] &&
                epoch[x] > attempt_epoch[k] && epoch[x] <= attempt_epoch[k] + EPOCH_STEP -> abort_attempt(k, wrong || unheard) }
    fi
}

active proctype Claims()
{
end:
    do
    :: hear_owner(0, 1)
    :: hear_owner(0, 2)
    :: hear_owner(1, 0)
    :: hear_owner(1, 2)
    :: hear_owner(2, 0)
    :: hear_owner(2, 1)
    :: hear_dest(0, 0)
    :: hear_dest(0, 1)
    :: hear_dest(0, 2)
    :: hear_dest(1, 0)
    :: hear_dest(1, 1)
    :: hear_dest(1, 2)
    od
}

inline force(m)
{
    if
    :: atomic { forces > 0 && (copy[m] == SOURCE_IN_DOUBT || copy[m] == SOURCE_SUPERSEDED) ->
                forces--;
                if
                :: wrong = wrong || ANOTHER(m); own(m, proposed[m] + EPOCH_FORCE + m)
                :: given_up = true; forget(m)
                fi }
    fi
}

inline settle(k)
{
    if
    :: atomic { SOURCE_IN(k, SOURCE_IN_DOUBT) && !wish[k] -> wish[k] = true }
    :: atomic { forces > 0 && answer[k] == DEST_PREPARED && !session[k] ->
                forces--;
                if
                :: wrong = wrong || ANOTHER(to[k]); let_go(k)
                :: given_up = true; abort_attempt(k, true)
                fi }
    fi
}

active proctype Operators()
{
end:
    do
    :: force(0)
    :: force(1)
    :: force(2)
    :: settle(0)
    :: settle(1)
    :: atomic { forces > 0 && copy[0] == ELSEWHERE -> forces--; wrong = true; start_anew(epoch[0] + EPOCH_FORCE) }
    od
}

/* A machine dies. Its peers notice at once that it does not answer, or later. */
inline crash(m)
{
    crashes--;
    died = died || WHOLE(m);
    forget(m);
    known[m] = 0;
    if
    :: m == 0 -> copy[m] = DOWN
    :: else -> skip
    fi;
    crash_attempt(0, m);
    crash_attempt(1, m)
}

inline crash_attempt(k, m)
{
    if
    :: k < attempts && to[k] == m -> answer[k] = NOTHING; session[k] = false; silence(to_dest[k]); source_link_lost(k)
    :: k < attempts && from[k] == m -> silence(to_source[k]) /* what it has said may arrive yet */
    :: else -> skip
    fi
}

active proctype Accidents()
{
end:
    do
    :: atomic { losses > 0 && attempts > 0 && session[0] -> losses--; dest_link_lost(0); source_link_lost(0) }
    :: atomic { losses > 0 && attempts > 1 && session[1] -> losses--; dest_link_lost(1); source_link_lost(1) }
    :: atomic { crashes > 0 && copy[0] != DOWN -> crash(0) }
    :: atomic { crashes > 0 -> crash(1) }
    :: atomic { crashes > 0 -> crash(2) }
    :: break
    od
}

#define ONE_OWNER (TWO -> (wrong || unheard))
#define SOME_OWNER (NONE -> (STOPS(0) || STOPS(1) || STOPS(2) || died || given_up || born_last == 0))

/* Never two owners, but by a wrong word or an unheard question. */
ltl one_owner { [] (ONE_OWNER) }
/* Nobody runs it only while somebody stands and knows why, or it was lost with a machine or given up by a word. */
ltl some_owner { [] (SOME_OWNER) }
/* The only whole copy of the guest as it was is freed by an operator, or by a source that had it when it said so. */
ltl last_copy { [] (!only_lost) }
/* Who is started anew and is heard starts nothing that somebody has a copy of. */
ltl not_anew { [] (!anew) }
/* What ran at the destination is not resumed at its source. */
ltl no_way_back { [] (!rolled_back) }
/* All of these, in one run. */
ltl all_safe { [] (ONE_OWNER && SOME_OWNER && !only_lost && !anew && !rolled_back) }
/* Two owners do not stay two: one of them stands as soon as they hear each other. */
ltl owners_meet { [] (TWO -> <> (!TWO)) }

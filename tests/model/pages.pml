/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages of a split attempt (docs/migration-stream.md "Post-copy"), as migrate/source_serve.c and migrate/dest_fill.c
 * move them: what was COMMITted runs at the destination, each of PAGES pages is missing there, and goes by the first
 * connection (bulk) or, if it is wanted, by the second one (lane). Connections break and are made anew. Who runs the
 * guest is handoff.pml's; machines that crash are, too.
 *
 * `make model` has spin check: what is missing has not been lost between lane and bulk; a page comes once, but for those
 * that were under way when a connection broke; the source frees nothing that is missing; what somebody waits for comes,
 * also if nothing is sent unasked (demand); and all of it comes otherwise. In each version without a mend it must find
 * one of these violated:
 *   OWN_MAP     after a break the source goes on with its own map, and not with what the destination says it misses
 *   LANE_ALONE  a lane that breaks is made anew without the first connection, so without that list
 *   LANE_EARLY  the lane is opened before the destination has said all that it misses
 *   ASK_ONCE    what was wanted by an old lane is not wanted again by a new one
 *   WANT_AGAIN  a page that is under way on one connection is sent on the other one, too
 *   FREE_SENT   the source frees its memory when all is sent
 */

#ifndef PAGES
#define PAGES 2
#endif
#ifndef LOSSES
#define LOSSES 2 /* broken connections, at most */
#endif

mtype = { COMMIT, RESOLVE, SERVE, PAGE, RUNNING, MISSING, LISTED, COMPLETE };

#define BIT(page) (1 << (page))
#define ALL (BIT(PAGES) - 1)
#define OVER (PAGES + 1) /* the list is said */

/* With each message a page; with RESOLVE and SERVE the number of the connection that they open. RESOLVE has the COMMIT
 * with it that follows. LISTED is the empty MISSING. */
chan bulk_out = [2] of { mtype, byte };
chan bulk_back = [2] of { mtype, byte };
chan lane_out = [2] of { mtype, byte };
chan lane_back = [2] of { byte }; /* WANT */

/* The source. */
bool demand = false;   /* it sends nothing unasked */
bool link = true;      /* it has a first connection, */
bool lane = true;      /* and a second one */
byte connection = 1;   /* number of the last pair */
bool listens = false;  /* it has not heard yet all that is missing */
bool serving = false;
bool gone = false;     /* it has freed the memory */
byte left = ALL;       /* pages to send */

/* The destination. */
byte session = 1;      /* the first connection that it has got, */
byte lane_session = 1; /* and the second one */
bool runs = false;
byte missing = ALL;
byte asked = 0;        /* somebody waits for it */
byte wanted = 0;       /* and WANT of it was not said yet */
byte listed = OVER;    /* pages of which it has said whether they are missing */

/* For the properties. */
byte bulk_way = 0;     /* under way on this pair of connections */
byte lane_way = 0;
byte again = 0;        /* were under way when one broke */
bool twice = false;    /* a page came that was there, and was not under way then */
byte losses = LOSSES;

/* What the destination says to a connection that is no more is lost. */
#define HEARD (link && session == connection)
#define LANE_HEARD (lane && lane_session == connection)

inline answer(m, x)
{
    if
    :: HEARD -> bulk_back!m, x
    :: else -> skip
    fi
}

/* Some of what is under way still arrives, in its order. */
inline lose_end(channel)
{
    n = len(channel);
    do
    :: n > 0 -> channel?m, x; channel!m, x; n--
    :: break
    od;
    do
    :: n > 0 -> channel?m, x; n--
    :: n == 0 -> break
    od;
    m = 0;
    x = 0
}

inline lose_lane()
{
    again = again | lane_way;
    lane_way = 0;
    lose_end(lane_out);
    do
    :: nempty(lane_back) -> lane_back?_
    :: empty(lane_back) -> break
    od;
    lane = false
}

/* A connection has broken: the source ends the other one, too. */
inline source_ends()
{
    again = again | bulk_way;
    bulk_way = 0;
    lose_lane();
    lose_end(bulk_out);
    do
    :: nempty(bulk_back) -> bulk_back?_, _
    :: empty(bulk_back) -> break
    od;
    link = false
}

inline push(page)
{
    left = left & ~BIT(page);
    bulk_way = bulk_way | BIT(page);
    bulk_out!PAGE, page
}

inline want(page)
{
    if
#ifdef WANT_AGAIN
    :: serving ->
#else
    :: left & BIT(page) ->
#endif
       left = left & ~BIT(page);
       lane_way = lane_way | BIT(page);
       lane_out!PAGE, page
    :: else -> skip /* it is under way */
    fi
}

active proctype Source()
{
    mtype m;
    byte x;

    bulk_out!COMMIT, 0;
    if
    :: demand = true
    :: skip
    fi;
end:
    do
    :: atomic { bulk_back?m, x ->
                if
                :: m == RUNNING -> serving = true
#ifdef OWN_MAP
                :: m == MISSING -> skip
#else
                :: m == MISSING -> left = left | BIT(x)
#endif
                :: m == LISTED -> listens = false
                :: m == COMPLETE -> gone = true
                fi;
                m = 0;
                x = 0 }
    :: atomic { !gone && nempty(lane_back) && nfull(lane_out) -> lane_back?x; want(x); x = 0 }
    :: atomic { !gone && link && serving && !demand && left && nfull(bulk_out) ->
                if
                :: left & BIT(0) -> push(0)
                :: left & BIT(1) -> push(1)
                :: left & BIT(2) -> push(2)
                fi }
    :: atomic { !gone && !link && nfull(bulk_out) ->
                connection++;
                link = true;
                listens = true;
#ifndef OWN_MAP
                left = 0;
#endif
                bulk_out!RESOLVE, connection }
#ifdef LANE_EARLY
    :: atomic { !gone && link && serving && !lane && nfull(lane_out) ->
#else
    :: atomic { !gone && link && serving && !listens && !lane && nfull(lane_out) ->
#endif
                lane = true;
                lane_out!SERVE, connection }
#ifdef FREE_SENT
    :: atomic { !gone && serving && link && !listens && !left -> gone = true }
#endif
    :: gone -> break
    od
}

/* A page comes. The last one makes the copy whole. */
inline supply(page)
{
    if
    :: missing & BIT(page) ->
       missing = missing & ~BIT(page);
       asked = asked & ~BIT(page);
       wanted = wanted & ~BIT(page);
       if
       :: !missing -> answer(COMPLETE, 0)
       :: else -> skip
       fi
    :: else -> twice = twice || !(again & BIT(page))
    fi
}

active proctype Dest()
{
    mtype m;
    byte x, n;

end:
    do
    :: atomic { nempty(bulk_out) && nfull(bulk_back) ->
                bulk_out?m, x;
                if
                :: m == COMMIT -> runs = true; answer(RUNNING, 0)
                :: m == RESOLVE ->
                   runs = true;
                   session = x;
                   if
                   :: missing -> listed = 0; answer(RUNNING, 0)
                   :: !missing -> answer(COMPLETE, 0)
                   fi
                :: m == PAGE -> supply(x)
                fi;
                m = 0;
                x = 0 }
    :: atomic { nempty(lane_out) && nfull(bulk_back) ->
                lane_out?m, x;
                if
                :: m == SERVE && missing ->
                   lane_session = x;
#ifndef ASK_ONCE
                   wanted = asked
#endif
                :: m == SERVE && !missing -> /* refused */
                   if
                   :: lane && x == connection && !gone -> x = 0; source_ends()
                   :: else -> skip
                   fi
                :: m == PAGE -> supply(x)
                fi;
                m = 0;
                x = 0 }
    :: atomic { listed < OVER && missing && nfull(bulk_back) ->
                if
                :: listed == PAGES -> answer(LISTED, 0)
                :: listed < PAGES && (missing & BIT(listed)) -> answer(MISSING, listed)
                :: else -> skip
                fi;
                listed++ }
    :: atomic { wanted && nfull(lane_back) ->
                if
                :: wanted & BIT(0) -> x = 0
                :: !(wanted & BIT(0)) && (wanted & BIT(1)) -> x = 1
                :: else -> x = 2
                fi;
                wanted = wanted & ~BIT(x);
                if
                :: LANE_HEARD -> lane_back!x
                :: else -> skip
                fi;
                x = 0 }
    od
}

/* It touches pages. */
active proctype Guest()
{
end:
    do
    :: atomic { runs && (missing & ~asked) ->
                if
                :: missing & ~asked & BIT(0) -> asked = asked | BIT(0); wanted = wanted | BIT(0)
                :: missing & ~asked & BIT(1) -> asked = asked | BIT(1); wanted = wanted | BIT(1)
                :: missing & ~asked & BIT(2) -> asked = asked | BIT(2); wanted = wanted | BIT(2)
                fi }
    od
}

active proctype Accidents()
{
    mtype m;
    byte x, n;

end:
    do
    :: atomic { losses > 0 && link && !gone -> losses--; source_ends() }
#ifdef LANE_ALONE
    :: atomic { losses > 0 && lane && !gone -> losses--; lose_lane() }
#endif
    :: break
    od
}

/* What is missing, once the source has heard it, is to be sent, or is under way. */
#define NOTHING_LOST ((serving && link && !listens && !gone) -> !(missing & ~(left | bulk_way | lane_way)))
/* The source frees nothing that is missing. */
#define WHOLE_FIRST (gone -> !missing)

ltl nothing_lost { [] (NOTHING_LOST) }
ltl whole_first { [] (WHOLE_FIRST) }
/* A page comes once, but for those that were under way when a connection broke. */
ltl once { [] (!twice) }
/* All of these, in one run. */
ltl all_safe { [] (NOTHING_LOST && WHOLE_FIRST && !twice) }
/* What somebody waits for comes. */
ltl comes { [] (asked -> <> (!asked)) }
/* All comes, and the source is told. */
ltl ends { [] ((runs && !demand) -> <> (gone)) }

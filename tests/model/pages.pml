/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages of a split attempt (docs/migration-stream.md "Post-copy"), as migrate/source_serve.c and
 * migrate/dest_fill.c move them: what was COMMITted runs at the destination, each of PAGES pages is missing there, and
 * goes by the first connection (bulk) or, if it is wanted, by the second one (lane). Connections break and are made
 * anew; an operator at either end wants all of it (pull); the guest may end, or start anew, before all of it has come.
 * Who runs the guest is handoff.pml's; machines that crash are, too.
 *
 * `make model` has spin check: what is missing has not been lost between lane and bulk; a page comes once, but for
 * those that were under way when a connection broke; the source frees nothing that is missing; what somebody waits for
 * comes, also if nothing is sent unasked (demand); all of it comes otherwise, and when an operator pulls; and the
 * source is told when nothing is missing any more, because all has come or because the guest has ended. In each
 * version without a mend it must find one of these violated:
 *   OWN_MAP     after a break the source goes on with its own map, and not with what the destination says it misses
 *   LANE_ALONE  a lane by which something was wanted is made anew without the first connection, so without that list
 *   LANE_EARLY  the lane is opened before the destination has said all that it misses
 *   ASK_ONCE    what was wanted by an old lane is not wanted again by a new one
 *   WANT_AGAIN  a page that is under way on one connection is sent on the other one, too
 *   FREE_SENT   the source frees its memory when all is sent
 *   PULL_ONCE   PULL is not said again on a connection that was made anew
 *   PULL_LANE   a page that was wanted is taken for one that came unasked, so that PULL need not be said
 *   END_SILENT  a guest that ends says nothing of it to the source
 */

#ifndef PAGES
#define PAGES 2
#endif
#ifndef LOSSES
#define LOSSES 2 /* broken connections, at most */
#endif
/* With -DNOTICES the destination may find by itself that a connection has broken. */
#ifndef CHUNK
#define CHUNK 1 /* pages of which one MISSING says whether they are */
#endif

mtype = { COMMIT, RESOLVE, SERVE, PAGE, RUNNING, MISSING, LISTED, PULL, COMPLETE };

#define BIT(page) (1 << (page))
#define ALL (BIT(PAGES) - 1)
#define OVER (PAGES + 1) /* the list is said */

/* PAGE has a page, MISSING some pages. RESOLVE and SERVE have 1 as long as the connection stands that they open;
 * RESOLVE has the COMMIT with it that follows. LISTED is the empty MISSING. */
chan bulk_out = [2] of { mtype, byte };
chan bulk_back = [2] of { mtype, byte };
chan lane_out = [2] of { mtype, byte };
chan lane_back = [2] of { byte }; /* WANT */

/* The source. */
bool demand = false;   /* it sends nothing unasked */
bool link = true;      /* it has a first connection, */
bool lane = true;      /* and a second one */
bool listens = false;  /* it has not heard yet all that is missing */
bool requests = false; /* it has heard WANT */
bool serving = false;
bool gone = false;     /* it has freed the memory */
byte left = ALL;       /* pages to send */

/* The destination. */
bool session = true;   /* it has a first connection, as far as it knows, */
bool lane_session = true; /* and a second one; */
bool known = true;     /* they are those that the source has now */
bool lane_known = true;
bool runs = false;
bool over = false;     /* the guest has ended, or has started anew */
byte missing = ALL;
byte asked = 0;        /* somebody waits for it */
byte wanted = 0;       /* and WANT of it was not said yet */
byte listed = OVER;    /* pages of which it has said whether they are missing */
bool wish = false;     /* its operator wants all of it, */
bool unasked = true;   /* pages come unasked, */
bool pulled = false;   /* and PULL is said on this connection */

/* For the properties. */
byte bulk_way = 0;     /* under way on these connections */
byte lane_way = 0;
byte again = 0;        /* were under way when one broke */
bool twice = false;    /* a page came that was there, and was not under way then */
byte losses = LOSSES;

/* What the destination says to a connection that is no more is lost. */
#define HEARD (link && known)
#define LANE_HEARD (lane && lane_known)
#define PULL_DUE (session && wish && !unasked && !pulled && missing)

#include "beside_pages.pml"

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
    :: n > 0 ->
       channel?m, x;
       if
       :: m == PAGE || m == COMMIT -> channel!m, x
       :: else -> channel!m, 0
       fi;
       n--
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
    lane = false;
    lane_known = false
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
    link = false;
    known = false
}

inline push(page)
{
    left = left & ~BIT(page);
    bulk_way = bulk_way | BIT(page);
    bulk_out!PAGE, page
}

inline want(page)
{
    requests = true;
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

proctype Source()
{
    mtype m;
    byte x;

end:
    do
    :: atomic { bulk_back?m, x -> C_SOURCE_HEARS
                if
                :: m == RUNNING -> serving = true
#ifdef OWN_MAP
                :: m == MISSING -> skip
#else
                :: m == MISSING -> left = left | x
#endif
                :: m == LISTED -> listens = false
                :: m == PULL -> demand = false
                :: m == COMPLETE -> gone = true
                fi;
                m = 0;
                x = 0;
                C_SAME }
    :: atomic { !gone && nempty(lane_back) && nfull(lane_out) -> lane_back?x; C_SOURCE_WANTED want(x); x = 0; C_SAME }
    :: atomic { !gone && link && serving && !demand && left && nfull(bulk_out) -> C_PUSH
                if
                :: left & BIT(0) && C_PUSHES(0) -> push(0)
                :: left & BIT(1) && C_PUSHES(1) -> push(1)
                :: left & BIT(2) && C_PUSHES(2) -> push(2)
                fi;
                C_SAME }
    :: atomic { !gone && !link && nfull(bulk_out) -> C_CONNECT
                link = true;
                listens = true;
#ifndef OWN_MAP
                left = 0;
#endif
                bulk_out!RESOLVE, 1;
                C_SAME }
#ifdef LANE_EARLY
    :: atomic { !gone && link && serving && !lane && nfull(lane_out) && empty(bulk_back) -> C_LANE
#else
    :: atomic { !gone && link && serving && !listens && !lane && nfull(lane_out) && empty(bulk_back) -> C_LANE
#endif
                lane = true;
                lane_out!SERVE, 1;
                C_SAME }
#ifdef FREE_SENT
    :: atomic { !gone && serving && link && !listens && !left -> gone = true; C_SAME }
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
    :: else -> twice = twice || !(over || (again & BIT(page)))
    fi
}

/* A lane comes when nothing is missing. It is refused, and so breaks. */
inline refuse_lane(stands)
{
    if
    :: stands && !gone ->
       if
       :: requests -> source_ends()
       :: !requests -> lose_lane()
       fi;
       C_REFUSED
       skip
    :: else -> skip
    fi
}

proctype Dest()
{
    mtype m;
    byte x, n;

end:
    do
    :: atomic { nempty(bulk_out) && nfull(bulk_back) ->
                bulk_out?m, x;
                C_DEST_HEARS
                if
                :: m == COMMIT -> runs = true; answer(RUNNING, 0)
                :: m == RESOLVE ->
                   runs = true;
                   session = true;
                   known = known || x;
#ifndef PULL_ONCE
                   pulled = false;
#endif
                   answer(RUNNING, 0);
                   if
                   :: missing -> listed = 0
                   :: !missing -> answer(COMPLETE, 0)
                   fi
                :: m == PAGE -> unasked = true; bulk_way = bulk_way & ~BIT(x); supply(x)
                fi;
                m = 0;
                x = 0;
                C_SAME }
    :: atomic { nempty(lane_out) && nfull(bulk_back) ->
                lane_out?m, x;
                C_DEST_HEARS_LANE
                if
                :: m == SERVE && missing && session ->
                   lane_session = true;
                   lane_known = lane_known || x;
#ifndef ASK_ONCE
                   wanted = asked
#endif
                :: m == SERVE && !(missing && session) -> refuse_lane(x)
                :: m == PAGE ->
#ifdef PULL_LANE
                   unasked = true;
#endif
                   lane_way = lane_way & ~BIT(x);
                   supply(x)
                fi;
                m = 0;
                x = 0;
                C_SAME }
    :: atomic { PULL_DUE && nfull(bulk_back) -> C_SAY_PULL pulled = true; answer(PULL, 0); C_SAME }
    :: atomic { session && listed < OVER && missing && !PULL_DUE && nfull(bulk_back) -> C_LIST
                x = missing & ((BIT(CHUNK) - 1) << listed);
                if
                :: listed == PAGES -> answer(LISTED, 0); listed = OVER
                :: listed < PAGES && x -> answer(MISSING, x); listed = listed + CHUNK
                :: listed < PAGES && !x -> listed = listed + CHUNK
                fi;
                x = 0;
                C_SAME }
    :: atomic { lane_session && wanted && nfull(lane_back) ->
                if
                :: wanted & BIT(0) -> x = 0
                :: !(wanted & BIT(0)) && (wanted & BIT(1)) -> x = 1
                :: else -> x = 2
                fi;
                C_SAY_WANT
                wanted = wanted & ~BIT(x);
                if
                :: LANE_HEARD -> lane_back!x
                :: else -> skip
                fi;
                x = 0;
                C_SAME }
#ifdef NOTICES /* that a connection has broken; without the first one, the second one is of no use */
    :: atomic { session && !link && empty(bulk_out) -> session = false; lane_session = false; C_NOTICES(BULK) C_SAME }
    :: atomic { lane_session && !lane && empty(lane_out) -> lane_session = false; C_NOTICES(LANE) C_SAME }
#endif
    od
}

/* What may come to pass, and need not: a connection breaks, the guest touches a page, an operator wants all of them,
 * the guest ends or starts anew. */
proctype Others()
{
    mtype m;
    byte x, n;

end:
    do
    :: atomic { losses > 0 && link && !gone -> losses--; source_ends(); C_BROKEN C_SAME }
#ifdef LANE_ALONE
    :: atomic { losses > 0 && lane && !gone -> losses--; lose_lane(); C_BROKEN C_SAME }
#else
    :: atomic { losses > 0 && lane && !gone && !requests -> losses--; lose_lane(); C_BROKEN C_SAME }
#endif
    :: atomic { runs && (missing & ~asked) ->
                if
                :: missing & ~asked & BIT(0) -> C_TOUCH(0) asked = asked | BIT(0); wanted = wanted | BIT(0)
                :: missing & ~asked & BIT(1) -> C_TOUCH(1) asked = asked | BIT(1); wanted = wanted | BIT(1)
                :: missing & ~asked & BIT(2) -> C_TOUCH(2) asked = asked | BIT(2); wanted = wanted | BIT(2)
                fi;
                C_SAME }
    :: atomic { !gone && serving && demand -> C_SOURCE_PULLS demand = false; C_SAME }
    :: atomic { runs && missing && !unasked && !wish -> C_DEST_PULLS wish = true; C_SAME }
    :: atomic { runs && missing && nfull(bulk_back) ->
                if
                :: C_ENDS skip
                :: C_STARTS_ANEW skip
                fi;
                over = true;
                missing = 0;
                asked = 0;
                wanted = 0;
#ifndef END_SILENT
                answer(COMPLETE, 0);
#endif
                C_SAME }
    :: break
    od
}

/* COMMIT is said. */
init
{
    atomic {
        bulk_out!COMMIT, 0;
        if
        :: demand = true; unasked = false; C_DEMAND
        :: skip
        fi;
        run Source();
        run Dest();
        run Others()
    }
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
/* If all is to come, or the guest ends, the source can free its memory in the end. */
ltl ends { [] ((runs && (!demand || wish || over)) -> <> (gone)) }

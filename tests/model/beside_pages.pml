/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Beside the model of pages.pml run migrate/source_serve.c, migrate/dest_fill.c and the rest of the engine at both ends
 * (beside_pages.c), in all that the model can come to. Each event of the model is told to them, and after it they must
 * have the same. With -DIN_C; without it these macros are nothing.
 */
#ifdef IN_C
c_decl {
\#include "tests/model/beside.h"
\#include "tests/model/beside_pages.h"
}
c_track "&beside_at" "sizeof(unsigned)" "UnMatched"
c_track "&beside_essence" "sizeof(unsigned long)"

bool c_differs = false;
byte c_page = 0; /* that the C code chooses */

c_code {
static void told(bool as_told)
{
    now.c_differs |= !as_told;
}

static const struct pages_model *model(void)
{
    static struct pages_model model;

    model = (struct pages_model){
        .demand = now.demand, .link = now.link, .lane = now.lane, .listens = now.listens, .requests = now.requests,
        .serving = now.serving, .gone = now.gone, .left = now.left, .runs = now.runs, .over = now.over,
        .missing = now.missing, .asked = now.asked, .wanted = now.wanted, .listed = now.listed, .wish = now.wish,
        .unasked = now.unasked, .pulled = now.pulled, .bulk_out = q_len(now.bulk_out),
        .bulk_back = q_len(now.bulk_back), .lane_out = q_len(now.lane_out), .lane_back = q_len(now.lane_back),
    };
    return &model;
}
}

#define C_DEMAND c_code { told(pages_demand()); };
#define C_SOURCE_HEARS c_code { told(pages_source_hears()); };
#define C_SOURCE_WANTED c_code { told(pages_source_wanted()); };
#define C_PUSH c_code { unsigned page; told(pages_push(&page)); now.c_page = page; };
#define C_PUSHES(page) (c_page == page)
#define C_CONNECT c_code { told(pages_connect()); };
#define C_LANE c_code { told(pages_lane()); };
#define C_SOURCE_PULLS c_code { told(pages_source_pulls()); };
#define C_DEST_HEARS c_code { told(pages_dest_hears(BULK)); };
#define C_DEST_HEARS_LANE c_code { told(pages_dest_hears(LANE)); };
#define C_SAY_PULL c_code { told(pages_say()); };
#define C_LIST c_code { told(pages_say()); };
#define C_SAY_WANT c_page = x; c_code { told(pages_say_want(now.c_page)); };
#define C_NOTICES(kind) c_code { told(pages_notices(kind)); };
#define C_DEST_PULLS c_code { told(pages_dest_pulls()); };
#define C_TOUCH(page) c_code { told(pages_touch(page)); };
#define C_ENDS c_code { told(pages_ends(false)); };
#define C_STARTS_ANEW c_code { told(pages_ends(true)); };
#define C_BROKEN c_code { told(pages_broken(model(), false)); };
#define C_REFUSED c_code { told(pages_broken(model(), true)); };
#define C_SAME c_page = 0; c_code { told(pages_same(model())); };

ltl as_in_c { [] (!c_differs) }
#else
#define C_DEMAND
#define C_SOURCE_HEARS
#define C_SOURCE_WANTED
#define C_PUSH
#define C_PUSHES(page) true
#define C_CONNECT
#define C_LANE
#define C_SOURCE_PULLS
#define C_DEST_HEARS
#define C_DEST_HEARS_LANE
#define C_SAY_PULL
#define C_LIST
#define C_SAY_WANT
#define C_NOTICES(kind)
#define C_DEST_PULLS
#define C_TOUCH(page)
#define C_ENDS
#define C_STARTS_ANEW
#define C_BROKEN
#define C_REFUSED
#define C_SAME
#endif

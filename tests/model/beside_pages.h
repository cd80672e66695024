/* SPDX-License-Identifier: BSD-2-Clause */
/* The machines of C beside pages.pml: each event of the model is told to them, and what the model has then is compared
 * with what they have. Each function for an event returns whether they could do it. */
#pragma once

#include <stdbool.h>

enum connection { BULK, LANE };

/* What the model has: struct fields have the names of its variables; maps of pages; and the messages under way. */
struct pages_model {
    unsigned demand, link, lane, listens, requests, serving, gone, left;
    unsigned runs, over, missing, asked, wanted, listed, wish, unasked, pulled;
    unsigned bulk_out, bulk_back, lane_out, lane_back;
};

bool pages_demand(void);
bool pages_source_hears(void);
bool pages_source_wanted(void);
bool pages_push(unsigned *page);
bool pages_connect(void);
bool pages_lane(void);
bool pages_source_pulls(void);
bool pages_dest_hears(enum connection kind);
bool pages_say(void); /* MISSING or PULL, on the first connection */
bool pages_say_want(unsigned page);
bool pages_notices(enum connection kind);
bool pages_dest_pulls(void);
bool pages_touch(unsigned page);
bool pages_ends(bool anew);
/* Connections break, of what the source has said so many messages still arrive, and it notices. If a lane was refused,
 * it notices that first. */
bool pages_broken(const struct pages_model *model, bool refused);
bool pages_same(const struct pages_model *model);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Beside the model of handoff.pml run the state machines of owners/handoff.c, in all that the model can come to. Each
 * event of the model is told to them, and they must come to the same state, say the same and let the same copy run. With
 * -DIN_C; without it these macros are nothing.
 */
#ifdef IN_C
c_decl {
\#include "owners/handoff.h"
}

c_state "struct handoff_source c_source" "Global"
c_state "struct handoff_dest c_dest" "Global"

byte c_source_state = 0, c_dest_state = 0;
bool c_source_runs = true, c_source_has_copy = true;
bool c_differs = false; /* it said something else, or took another epoch */

c_code {
/* The C code's epochs; force goes beyond all others by C_FORCE. */
static const u64 c_epochs[] = { 7, 8, 24, 40, 56 };
#define C_FORCE 16
#define SAID (ACTION_SAY_PREPARE | ACTION_SAY_PREPARED | ACTION_SAY_COMMIT | ACTION_SAY_RUNNING | ACTION_SAY_QUERY | \
              ACTION_SAY_ABORT | ACTION_SAY_ABORTED | ACTION_SAY_COMPLETE)
#define NOBODY (~0u) /* there is no connection on which it could be said */

static void c_begin(void)
{
    handoff_source_init(&now.c_source, c_epochs[0]);
    handoff_dest_init(&now.c_dest, handoff_propose(&now.c_source));
    now.c_source.split = now.c_dest.split = now.split;
}

static void c_source_event(enum handoff_event event, u64 epoch, unsigned words)
{
    unsigned actions = handoff_source_event(&now.c_source, event, epoch);

    now.c_differs |= words != NOBODY && (actions & SAID) != words;
    now.c_differs |= event == HANDOFF_FORCE_RESUME && now.c_source.epoch != c_epochs[now.epoch];
    now.c_source_state = now.c_source.state;
    if (actions & (ACTION_RESUME | ACTION_STAND | ACTION_SAY_PREPARE))
        now.c_source_runs = (actions & ACTION_RESUME) != 0;
    if (actions & ACTION_FREE)
        now.c_source_has_copy = 0;
}

static void c_dest_event(enum handoff_event event, u64 epoch, unsigned words)
{
    unsigned actions = handoff_dest_event(&now.c_dest, event, epoch);

    now.c_differs |= words != NOBODY && (actions & SAID) != words;
    now.c_dest_state = now.c_dest.state;
}
}

#define C_BEGIN c_code { c_begin(); };
/* A message comes, or something else happens here, and with these words the C code answers. */
#define C_SOURCE_HEARS(message, words) c_code { c_source_event(HANDOFF_##message, c_epochs[1], words); };
#define C_SOURCE(event, words) c_code { c_source_event(HANDOFF_##event, C_FORCE, words); };
#define C_SOURCE_CLAIM(epoch, words) c_code { c_source_event(HANDOFF_HIGHER_EPOCH, c_epochs[epoch], words); };
#define C_DEST(event, words) c_code { c_dest_event(HANDOFF_##event, c_epochs[1], words); };
#define C_DEST_CLAIM c_code { c_dest_event(HANDOFF_HIGHER_EPOCH, c_epochs[now.epoch], NOBODY); };

#define SOURCE_AS_IN_C (source == DEAD || ((source_runs == c_source_runs) && \
    (source_has_copy == c_source_has_copy) && \
    ((source == SOURCE_OWNER) == (c_source_state == 0)) && ((source == SOURCE_PREPARING) == (c_source_state == 1)) && \
    ((source == SOURCE_IN_DOUBT) == (c_source_state == 2)) && ((source == SOURCE_SERVING) == (c_source_state == 3)) && \
    ((source == SOURCE_SUPERSEDED) == (c_source_state == 4)) && ((source == SOURCE_GONE) == (c_source_state == 5))))
#define DEST_AS_IN_C (dest == LOST || \
    (((dest == DEST_RECEIVING) == (c_dest_state == 0)) && ((dest == DEST_PREPARED) == (c_dest_state == 1)) && \
     ((dest == DEST_INCOMPLETE) == (c_dest_state == 2)) && ((dest == DEST_RUNNING) == (c_dest_state == 3)) && \
     ((dest == DEST_ABORTED) == (c_dest_state == 4))))

ltl as_in_c { [] (!c_differs && SOURCE_AS_IN_C && DEST_AS_IN_C) }
#else
#define C_BEGIN
#define C_SOURCE_HEARS(message, words)
#define C_SOURCE(event, words)
#define C_SOURCE_CLAIM(epoch, words)
#define C_DEST(event, words)
#define C_DEST_CLAIM
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* A world (world.h) whose guest is handed over before its memory. */
#pragma once

#include "tests/unit/world.h"

#define STEPS 60000 /* more than any of these moves takes */

/* The settings of such a move, after so many rounds. */
struct migrate_settings split_settings(unsigned rounds);

/* begin: a world whose guest writes and moves so; to be ended by end(). begin_slow: one all of whose memory has
 * contents and follows at 400,000 bytes a second, in 4 s, or on demand; it has just been handed over. */
struct world *begin(struct migrate_settings settings);
struct world *begin_slow(bool demand);
void end(struct world *w);

/* It runs there, and all of its memory has come; and nothing broke: each page came once. */
void assert_arrived(struct world *w);
void assert_smooth(struct world *w);

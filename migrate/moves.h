/* SPDX-License-Identifier: BSD-2-Clause */
/* The last moves of VMs away from here, under way and over. Host loop. */
#pragma once

#include "migrate/move.h"

struct vm_source;

#define MOVES 16 /* of VMs that left, or tried to: so many are remembered */

/* Before the others, once. */
void moves_init(void);

/* Are all of them under way? Then no other one can begin. */
bool moves_full(void);

/* A move of from->vm begins, while they are not full: the oldest that is over is forgotten for it. */
struct move *moves_begin(const struct vm_source *from, const struct migration_request *request);

/* The latest first; NULL behind the last. The latest of a VM of that name; NULL: none is known. */
struct move *moves_get(unsigned index);
struct move *moves_find(const char *name);

/* What it does, or did. */
const struct migrate_stats *move_stats(const struct move *move);

/* What has become of the files from which its guest starts: those that are wanted come. */
static inline enum migrate_files move_files(const struct move *move)
{
    return move->files_wanted ? FILES_COMING : move_stats(move)->files;
}

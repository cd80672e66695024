/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/moves.h"

#include <string.h>

#include "host/clock.h"
#include "hv/vm.h"
#include "migrate/vm_source.h"

static struct move moves[MOVES], *latest[MOVES]; /* the latest first; without a name: unused */

void moves_init(void)
{
    for (unsigned i = 0; i < MOVES; i++)
        latest[i] = &moves[i];
}

/* The index in `latest` of a place that a new move may take: an unused one, or the oldest that is over. -1: all moves
 * are under way. */
static int place(void)
{
    int at = MOVES - 1;

    while (at >= 0 && latest[at]->live)
        at--;
    return at;
}

bool moves_full(void)
{
    return place() < 0;
}

struct move *moves_begin(const struct vm_source *from, const struct migration_request *request)
{
    int at = place();
    struct move *move = latest[at];

    for (; at > 0; at--)
        latest[at] = latest[at - 1];
    latest[0] = move;
    *move = (struct move){ .request = *request, .live = &from->source, .image = from->vm->image, .began = clock_ns() };
    memcpy(move->name, from->vm->name, sizeof(move->name));
    memcpy(move->vm_id, from->vm->identity.id, sizeof(move->vm_id));
    return move;
}

struct move *moves_get(unsigned index)
{
    return index < MOVES && latest[index]->name[0] ? latest[index] : NULL;
}

struct move *moves_find(const char *name)
{
    struct move *move;

    for (unsigned i = 0; (move = moves_get(i)); i++)
        if (!strcmp(move->name, name))
            return move;
    return NULL;
}

const struct migrate_stats *move_stats(const struct move *move)
{
    return move->live ? &move->live->stats : &move->stats;
}

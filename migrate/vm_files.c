/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "migrate"
#include "migrate/vm_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/load/images.h"
#include "host/log.h"
#include "hv/vm.h"
#include "migrate/move.h"
#include "migrate/vm_source.h"
#include "owners/claims.h"

/* Is the VM on this machine, where its files are of use to nobody else? */
static bool is_here(const struct move *move)
{
    list_each (const struct vm, vm, vm_list()) {
        if (!memcmp(vm->identity.id, move->vm_id, VM_ID) && vm_alive(vm))
            return true;
    }
    return false;
}

/* Does the guest run there, while the end of its move is still to be said, or its files follow? */
static bool is_left(const struct move *move)
{
    return move->live && move->live->handoff.state == SOURCE_GONE;
}

/* Why its files can't be sent now; NULL: they can. */
static const char *misfit(const struct move *move)
{
    if (is_left(move))
        return "they follow it already: see query-migrate";
    if (move->live)
        return "its move is not over: see query-migrate";
    if (is_here(move))
        return "it is on this machine";
    if (move->request.check || move->request.file.ops || move->stats.status != MIGRATE_COMPLETED)
        return "its last move has not brought it anywhere";
    return NULL;
}

/* As a source whose guest is gone, and has its copy here freed. */
int vm_files_send(struct move *move, u64 max_bandwidth, const char **reason)
{
    struct vm_source *from;

    if (is_left(move) && !move->live->settings.follow) {
        move->files_wanted = true;
        return 0;
    }
    *reason = misfit(move);
    if (*reason)
        return -EBUSY;
    *reason = "no memory";
    from = calloc(1, sizeof(*from));
    if (!from)
        return -ENOMEM;
    from->gone = from->again = true;
    from->to = move->request.to;
    from->image = move->image;
    image_locate(&from->image, move->vm_id);
    source_init(&from->source, &vm_source_ops, from, move->vm_id, move->stats.epoch, claims_owner());
    if (source_send_files(&from->source, move->name, &move->stats, max_bandwidth)) {
        free(from);
        return -ENOMEM;
    }
    from->move = move;
    move->live = &from->source;
    list_add_tail(&vm_sources, &from->node);
    pr_info("%s: what it starts from follows it, under epoch %lu", move->name, move->stats.epoch);
    return 0;
}

void vm_files_due(struct move *move, u64 max_bandwidth)
{
    const char *reason;

    if (move->files_wanted && vm_files_send(move, max_bandwidth, &reason))
        pr_warn("%s: cannot send its files after it, %s", move->name, reason);
    move->files_wanted = false;
}

int vm_files_stop(struct move *move)
{
    if (move->files_wanted) {
        move->files_wanted = false;
        return 0;
    }
    list_each (struct vm_source, from, &vm_sources) {
        if (from->move == move)
            return source_stop_files(&from->source);
    }
    return -ENOENT;
}

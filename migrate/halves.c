/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/halves.h"

#include <errno.h>
#include <string.h>

#include "host/clock.h"
#include "hv/vm.h"
#include "migrate/move.h"
#include "migrate/vm_dest.h"
#include "migrate/vm_source.h"

static u64 ms_since(u64 time)
{
    return (clock_ns() - time) / NS_PER_MS;
}

bool halves_of(const struct vm *vm, struct halves *halves)
{
    const struct vm_source *from = vm_source_find(vm);
    const struct incoming *in = dest_find(&vm_dest, vm, DEST_INCOMPLETE);
    bool serving = from && from->source.handoff.state == SOURCE_SERVING;

    *halves = (struct halves){ .here = !serving, .lost = serving && from->source.handoff.lost };
    if (serving) {
        halves->status = from->source.stats.status;
        halves->silent_ms = ms_since(from->source.last_heard);
        halves->missing = source_missing(&from->source, &halves->ms_left);
        tcp_address_text(&from->to, halves->peer);
    } else if (in) {
        halves->status = dest_fill_status(in);
        halves->silent_ms = ms_since(in->heard);
        halves->missing = dest_missing(&vm_dest, in, &halves->ms_left);
        memcpy(halves->peer, in->peer, sizeof(halves->peer));
    }
    return serving || in;
}

int halves_make(struct vm *vm)
{
    struct vm_source *from = vm_source_find(vm);

    if (from && from->move && from->move->request.file.ops)
        return -ENODEV;
    return from ? source_start_postcopy(&from->source) : -ENOENT;
}

int halves_join(struct vm *vm)
{
    struct vm_source *from = vm_source_find(vm);

    return from && !source_pull(&from->source) ? 0 : dest_pull(&vm_dest, vm);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "migrate"
#include "migrate/vm_ended.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/log.h"
#include "hv/vm.h"
#include "migrate/vm_dest.h"
#include "guest/load/vm_report.h"
#include "migrate/vm_source.h"
#include "owners/announcer.h"
#include "owners/asking.h"

/* The struct vm_source of a guest that runs elsewhere outlives the copy here: frames that come for the guest are still
 * sent on. */
void vm_ended_destroy(struct vm *vm)
{
    struct vm_source *from = vm_source_find(vm);

    if (from && from->gone) {
        from->vm = NULL;
    } else if (from) {
        list_del(&from->node);
        free(from);
    }
    tcp_stream_abort_lingering(vm); /* TCP may still refer to its memory */
    dest_forget(&vm_dest, vm);
    announcer_stop(vm);
    vm_destroy(vm);
}

bool migration_done_with(const struct vm *vm)
{
    const struct vm_source *from = vm_source_find(vm);

    return (!from || (!source_active(&from->source) && !from->move)) && vm->mem.dirty.producer == DIRTY_OFF;
}

static int forget(struct vm *vm)
{
    if (!migration_done_with(vm))
        return -EBUSY;
    pr_info("%s: forgotten", vm->name);
    vm_ended_destroy(vm);
    return 0;
}

int migration_forget(struct vm *vm)
{
    struct vm_identity identity = vm->identity;
    int err = forget(vm);

    if (!err)
        dest_settle(&vm_dest, identity.id);
    return err;
}

unsigned migration_settle_ended(void)
{
    unsigned settled = dest_settle(&vm_dest, NULL);

    pr_info("%u moves to here that have ended are settled by the operator", settled);
    return settled;
}

void vm_ended_make_way(const struct vm *vm)
{
    list_each_safe (struct vm, other, vm_list()) {
        if (other != vm && vm_ended(other) &&
            (!strcmp(other->name, vm->name) || !memcmp(other->identity.id, vm->identity.id, VM_ID)))
            forget(other);
    }
}

/* If there are too many guests that came here and have ended, forget the oldest: any machine that reaches the port may
 * have sent them. Those that came to start anew and wait for their deed have not ended. */
static void forget_oldest(void)
{
    struct vm *oldest = NULL;
    unsigned count = 0;

    list_each (struct vm, vm, vm_list()) {
        if (!vm->arrived || !vm->buried || asking_waits(vm))
            continue;
        count++;
        if (!oldest || vm->id < oldest->id)
            oldest = vm;
    }
    if (count > MIGRATION_ENDED)
        forget(oldest);
}

void vm_ended_bury(void)
{
    list_each (struct vm, vm, vm_list()) {
        if (!vm_ended(vm) || vm->buried || !migration_done_with(vm))
            continue;
        tcp_stream_abort_lingering(vm); /* TCP may still refer to its memory */
        announcer_stop(vm);
        dest_forget(&vm_dest, vm);
        vm_report(vm);
        vm_bury(vm);
    }
    forget_oldest();
}

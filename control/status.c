/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/status.h"

#include "migrate/migration.h"

unsigned shown_status(const struct vm *vm)
{
    u64 epoch;

    switch (migration_contested(vm, &epoch)) {
    case SOURCE_IN_DOUBT: return SHOWN_IN_DOUBT;
    case SOURCE_SERVING: return SHOWN_SERVING;
    case SOURCE_SUPERSEDED: return SHOWN_SUPERSEDED;
    default: break;
    }
    if (vm->elsewhere && vm_ended(vm))
        return SHOWN_ELSEWHERE;
    if (vm->status == VM_INCOMING)
        return migration_stranded(vm, &epoch) ? SHOWN_PREPARED : VM_INCOMING;
    if (migration_outgoing(vm))
        return SHOWN_OUTGOING;
    return vm_running(vm) && vm->asleep ? SHOWN_SUSPENDED : vm->status;
}

const char *shown_name(unsigned status)
{
    switch (status) {
    case SHOWN_SUSPENDED: return "suspended";
    case SHOWN_OUTGOING: return "outgoing";
    case SHOWN_IN_DOUBT: return "in-doubt";
    case SHOWN_SERVING: return "serving";
    case SHOWN_SUPERSEDED: return "superseded";
    case SHOWN_PREPARED: return "prepared";
    case SHOWN_ELSEWHERE: return "elsewhere";
    default: return vm_status_name((enum vm_status)status);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "migrate"
#include "migrate/vm_cold.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/platform.h"
#include "guest/load/load.h"
#include "guest/load/power.h"
#include "host/log.h"
#include "hv/vm.h"
#include "migrate/vm_state.h"
#include "owners/asking.h"

int vm_cold_shut_down(struct vm *vm, struct vm_cold *cold)
{
    if (vm_ended(vm) || vm->status == VM_CREATED)
        return 0;
    if (!cold->asked) {
        shutdown_ask(vm, cold->timeout, cold->force);
        cold->asked = platform_of(vm)->shutdown.asked;
    }
    switch (platform_of(vm)->shutdown.state) {
    case SHUTDOWN_RESET: return -ECANCELED;
    case SHUTDOWN_LATE: return -ETIMEDOUT;
    default: return -EAGAIN;
    }
}

void vm_cold_poll(struct vm *vm, struct vm_cold *cold)
{
    const struct shutdown *shutdown = &platform_of(vm)->shutdown;
    bool same = shutdown->asked == cold->asked, forced = shutdown->state == SHUTDOWN_FORCED;
    char reason[WIRE_REASON];

    if (!cold->again || (!vm_ended(vm) && same && shutdown->state == SHUTDOWN_ASKED))
        return;
    cold->again = false;
    if (!vm_ended(vm) || !same || (vm->status == VM_OFF && !forced))
        return;
    if (guest_power_on(vm, reason, sizeof(reason)))
        pr_err("%s: its move has failed, and it can't be started again: %s", vm->name, reason);
    else
        pr_warn("%s: its move has failed: it is started again here", vm->name);
}

void vm_cold_resume(struct vm *vm, struct vm_cold *cold)
{
    struct shutdown *shutdown = &platform_of(vm)->shutdown;

    if (!cold->asked || shutdown->asked != cold->asked)
        return;
    shutdown->force = false;
    cold->again = !cold->stopped;
    vm_cold_poll(vm, cold);
}

static void (*const sections[])(struct vm *vm, struct codec *c) = { vm_state_own, vm_state_scrollback };
static const char *const names[] = { "vm", "scrollback" };

void vm_cold_section(void *ctx, unsigned index, struct wire_section *section, struct codec *c)
{
    struct vm *vm = ctx;
    const char *name = index < ARRAY_SIZE(names) ? names[index] : "";

    if (!c->restoring) {
        *section = (struct wire_section){ .instance = 0 };
        snprintf(section->name, sizeof(section->name), "%s", name);
    }
    if (!name[0] || strcmp(section->name, name) != 0 || section->instance) {
        codec_refuse(c, -ENOENT, "expected %s", name[0] ? name : "no more");
        return;
    }
    sections[index](vm, c);
    vm->incoming.sections += codec_restored(c);
}

enum wire_code vm_cold_defined(void *ctx, char reason[WIRE_REASON])
{
    struct vm *vm = ctx;

    if (vm->incoming.sections != ARRAY_SIZE(sections))
        snprintf(reason, WIRE_REASON, "%u sections of its definition came, it has %zu", vm->incoming.sections,
                 ARRAY_SIZE(sections));
    else if (!guest_image_here(&vm->image))
        snprintf(reason, WIRE_REASON, "the files that it starts from have not come");
    else if (!guest_load_check(vm, &vm->image, reason, WIRE_REASON))
        return WIRE_OK;
    return WIRE_E_STATE;
}

bool vm_cold_start(struct vm *vm, bool on)
{
    char reason[WIRE_REASON];

    __atomic_store_n(&vm->status, VM_CREATED, __ATOMIC_RELEASE);
    if (!on || !asking_may_start(vm, true))
        return false;
    if (!guest_power_on(vm, reason, sizeof(reason)))
        return true;
    pr_err("%s: it has come, and can't be started: %s", vm->name, reason);
    return false;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests that the configuration names: made at boot, watched until the last has ended. */
#pragma once

#include "hv/lib/types.h"

struct config_vm;
struct handoff;
struct vm;

/* Make a VM as a section [vm] has it; vm_power_on starts it. Returns 0 and *vm, or with the reason in words -ENOENT: a
 * file is not here; -EBUSY: another has its MAC or identity; -ENOMEM. Host loop. */
int launch_create(const struct config_vm *config, struct vm **vm, char *reason, size_t room);

/*
 * Create, load and start every [vm] of the configuration, as its autostart has it; one that can't be is logged with its
 * reason and counts as failed, the others go on. `handoff` stays valid. Boot processor.
 */
void launch_guests(const struct handoff *handoff);

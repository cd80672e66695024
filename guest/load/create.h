/* SPDX-License-Identifier: BSD-2-Clause */
/* VMs as the configuration describes them. */
#pragma once

#include <stddef.h>

struct config_vm;
struct vm;

/*
 * Make a VM as a section [vm] describes it; guest_power_on starts it. Returns 0 and *vm, or an error with the reason in
 * words: -ENOENT: a file is not here; -EBUSY: another VM has its MAC or identity; -ENOMEM. Host loop.
 */
int guest_create(const struct config_vm *config, struct vm **vm, char *reason, size_t room);

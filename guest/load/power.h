/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM starts from its image: when it is powered on, and at each reset. */
#pragma once

#include "host/types.h"

struct vm;

/*
 * Start a new VM, or one that has ended, from its image: its RAM is new, its devices and vcpus are as after power-on.
 * Returns 0: the VM counts as running, and its vcpus are entered once guest_resets has emptied its RAM and loaded the
 * image. On an error nothing has changed, and `reason` (of `room` bytes) says why in words: -ENOENT: this machine lacks
 * a file of the image; -EBUSY: another VM has its MAC or identity; -ENOMEM; -EINVAL: the image is refused. Host loop.
 */
int guest_power_on(struct vm *vm, char *reason, size_t room);

/* Host work: reset devices, vcpus, memory and image of the VMs that have asked for a reset or that start. A paused VM
 * stays paused. Returns ~0. */
u64 guest_resets(void);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tells the network where a guest is now (docs/migration-stream.md "Network"): the first time as soon as the guest has
 * arrived, then again at growing intervals, because frames may be lost and switches may be slow. With each announcement
 * this machine also claims the guest (claims.h). Host loop.
 */
#pragma once

#include "host/types.h"

struct config_announce;
struct vm;

/* `announce` holds QEMU's announce-* settings and stays valid; a guest keeps the settings that held when its
 * announcements began. Boot, once. */
void announcer_init(const struct config_announce *announce);

/* Do the first round now; announcer_poll does the others later. */
void announcer_start(struct vm *vm);

/* No more rounds for this VM. */
void announcer_stop(const struct vm *vm);

/* Part of host work: do the rounds that are due. Returns the host TSC at which the next round is due, ~0 if there is
 * none. */
u64 announcer_poll(void);

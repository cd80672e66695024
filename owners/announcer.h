/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tells the network where a guest is now (docs/network.md "Whose address is it?"): at once when the guest has arrived,
 * then at growing intervals, for frames may be lost and switches slow. Each time it also claims the guest (claims.h).
 * Host loop.
 */
#pragma once

#include "host/types.h"

struct config_announce;
struct vm;

/* `announce` holds QEMU's announce-* settings and stays valid; announcements keep the settings with which they began.
 * Boot, once. */
void announcer_init(const struct config_announce *announce);

/* Do the first round now; announcer_poll does the others later. */
void announcer_start(struct vm *vm);

/* No more rounds for this VM. */
void announcer_stop(const struct vm *vm);

/* Part of host work: do the rounds that are due. Returns the host TSC of the next one, ~0 if there is none. */
u64 announcer_poll(void);

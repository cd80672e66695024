/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling the network where a guest is now (docs/migration-stream.md "Network"): at once when it has arrived, then
 * again at growing intervals, for frames may be lost and switches slow. Each time it is claimed, too (claims.h). Host
 * loop.
 */
#pragma once

#include "host/types.h"

struct config_announce;
struct vm;

/* `announce`, QEMU's announce-*, stays valid; each announcement is as it is when that begins. Boot, once. */
void announcer_init(const struct config_announce *announce);

/* The first round now, the others later. */
void announcer_start(struct vm *vm);

/* No more rounds for this VM. */
void announcer_stop(const struct vm *vm);

/* Host work's part: do the rounds that are due; host TSC of the next, ~0: none. */
u64 announcer_poll(void);

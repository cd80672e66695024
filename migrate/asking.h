/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Before a guest of the configuration is started, all hypervisors of the link are asked who has it, or a guest with its
 * MAC (docs/migration-stream.md "Claims"): it may have moved before this machine was started anew. Who hears nothing
 * for ASKING_MS starts it. The `peers` of the configuration are asked, too, at the same time (peers.h). One that
 * somebody has is `elsewhere`: its RAM is given back, and an operator decides, or it comes home by a move. Host loop.
 */
#pragma once

#include "host/types.h"

struct config;
struct vm;
struct wire_claim;

#define ASKING_MS 400

/* Ask for those that launch_guests has left to us. `config` stays valid. Boot, once. */
void asking_start(const struct config *config);

/* Somebody else, at the address `where`, owns a VM, holds a copy of it, or has more right to start it than we. One that
 * we ask about, or that is not started here or has ended, and runs there, is elsewhere from now on. */
void asking_heard(const struct wire_claim *claim, const char *where);

/* Is this VM one that is still asked about? */
bool asking_about(const struct vm *vm);

/* Host work's part: host TSC of the next time, ~0: none. */
u64 asking_poll(void);

/* The operator's word that nobody else runs it, whatever was heard: start one that is elsewhere, under an epoch above
 * that. 0, or -errno with the reason in words. */
int asking_force(struct vm *vm, char *reason, size_t room);

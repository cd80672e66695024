/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard of one guest at work: what happens becomes its events, and its actions are carried out. Host loop. */
#pragma once

#include "protect/protected.h"

/* Hear what the ends of the stream report. Boot, once. */
void guarding_start(void);

/* Something has happened to a guest that is guarded; `number` is the checkpoint's. The guest may be gone then. */
void guarding_event(struct protection *p, struct vm *vm, enum guard_event event, u64 number);

/* The witness has said what its deed is. */
void guarding_deed(struct protection *p, struct vm *vm);

/* Say and judge beats, and see what is due. Returns the time of clock_ns at which to call again. */
u64 guarding_poll(struct protection *p, struct vm *vm);

/* The guard is not needed any more. */
void guarding_end(struct protection *p);

/* This machine, as deeds name it; false: it has no address yet. */
bool guarding_me(struct deed_host *me);

/* Is it this machine, or was it: an earlier boot, of which nothing is left? A machine keeps its address as long as it
 * runs, and no two have the same, so who had this machine's does not run any more. */
bool guarding_is_here(const struct deed_host *host);

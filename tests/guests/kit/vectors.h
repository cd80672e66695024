/* SPDX-License-Identifier: BSD-2-Clause */
/* What vectors.S and trap.c have in common; nobody else's business. */
#pragma once

#include "tests/guests/kit/trap.h"

/* 256 stubs, KIT_STUB_SIZE bytes each. */
extern const u8 trap_stubs[];

/* Where a caught fault goes on, and with which stack. */
extern const u8 fault_resume[];
extern u64 fault_stack;

/* Run fn(arg) so that it can be left by fault_resume; the second one in ring 3. */
void fault_call(void (*fn)(u64), u64 arg);
void fault_call_user(void (*fn)(u64), u64 arg);

/* Called by the stubs for every exception and interrupt. */
void trap_dispatch(struct trap_frame *frame);

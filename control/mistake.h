/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mistakes of ours on command, in a debug image only: each must end in a panic that names it, or the nets that are to
 * catch such mistakes do not hold (tests/system/test_debug.py).
 */
#pragma once

struct call;

/* "stack", "overflow" ...: the argument of the command; ends with NULL. */
extern const char *const mistake_kinds[];

/* The handler of the command `mistake`. Host loop. Does not return, if the nets hold. */
int command_mistake(struct call *call);

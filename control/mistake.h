/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes mistakes of our own on command, in a debug image only. Each must end in a panic that names it; if one does not,
 * the checks that are to catch such mistakes fail (tests/system/test_debug.py).
 */
#pragma once

struct call;

/* The mistakes that the command can make, "stack", "overflow" ...; ends with NULL. */
extern const char *const mistake_kinds[];

/* The handler of the command `mistake`. Host loop. It does not return if the checks work. */
int command_mistake(struct call *call);

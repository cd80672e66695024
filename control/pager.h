/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A move by post-copy without another machine, in a debug image only: it hides a guest's RAM from the guest and from
 * the hypervisor, and brings pages back when somebody asks for them, again and again. So each test guest shows what
 * happens when the hypervisor meets missing pages (mm/guest_missing.h) wherever that guest makes it access memory.
 */
#pragma once

struct call;

/* The handler of the command `hide`. Host loop. */
int command_hide(struct call *call);

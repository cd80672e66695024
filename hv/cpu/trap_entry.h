/* SPDX-License-Identifier: BSD-2-Clause */
/* What trap_entry.S and traps.c share. Included by assembler, too. */
#pragma once

/* Vectors with an error code, as a mask: #DF #TS #NP #SS #GP #PF #AC #CP. */
#define TRAP_ERROR_CODES 0x227D00
#define TRAP_STUB_SIZE 16

#ifndef __ASSEMBLER__

#include "hv/lib/types.h"

struct trap_frame;

/* Entry points of all 256 vectors, TRAP_STUB_SIZE bytes apart. */
extern char trap_stubs[];

/* What the stubs call. May change the frame: it is returned to. */
void trap_handle(struct trap_frame *frame);

/*
 * Call fn(arg) with this call's stack pointer left in *resume. Returns -1; or what %eax holds when a trap returns to
 * trap_catch_resume with %rsp = *resume.
 */
int trap_catch_call(void (*fn)(void *arg), void *arg, u64 *resume);
extern char trap_catch_resume[];

#endif

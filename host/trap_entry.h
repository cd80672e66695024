/* SPDX-License-Identifier: BSD-2-Clause */
/* What trap_entry.S and traps.c share. Included by assembler, too. */
#pragma once

/* Vectors with an error code, as a mask: #DF #TS #NP #SS #GP #PF #AC #CP. */
#define TRAP_ERROR_CODES 0x227D00
#define TRAP_STUB_SIZE 16

#ifndef __ASSEMBLER__

#include "host/types.h"

struct trap_frame;

/* Entry points of all 256 vectors, TRAP_STUB_SIZE bytes apart. */
extern char trap_stubs[];

/* What the stubs call. May change the frame: it is returned to. */
void trap_handle(struct trap_frame *frame);

#endif

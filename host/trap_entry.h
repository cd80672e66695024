/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by trap_entry.S and traps.c; assembler files include it, too. */
#pragma once

/* Vectors with an error code, as a mask: #DF #TS #NP #SS #GP #PF #AC #CP. */
#define TRAP_ERROR_CODES 0x227D00
#define TRAP_STUB_SIZE 16

#ifndef __ASSEMBLER__

#include "host/types.h"

struct trap_frame;

/* Entry points of all 256 vectors, TRAP_STUB_SIZE bytes apart. */
extern char trap_stubs[];

/* The stubs call this. It may change the frame: the CPU returns to what the frame says. */
void trap_handle(struct trap_frame *frame);

#endif

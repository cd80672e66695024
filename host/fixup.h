/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that may fault although the hypervisor makes no mistake: they load values that a guest or a peer has
 * chosen. Each such instruction has an entry in a table of the image. After a fault the CPU goes on at the address in
 * the entry, with the vector of the exception in RAX (host/traps.c). An entry holds two distances from itself.
 */
#pragma once

#ifdef __ASSEMBLER__

/* clang-format off */
#define FIXUP(at, resume) .pushsection .fixups, "a", @progbits; .long at - ., resume - .; .popsection
/* clang-format on */

#else

/* For inline assembly: executes `instruction`; then RAX is the vector of the exception that it raised, or NO_FAULT. */
#define MAY_FAULT(instruction)                   \
    "1:\t" instruction "\n\t"                    \
    "mov $-1, %%eax\n"                           \
    "2:\n\t"                                     \
    ".pushsection .fixups, \"a\", @progbits\n\t" \
    ".long 1b - ., 2b - .\n\t"                   \
    ".popsection"

#define NO_FAULT (-1)

#include "host/types.h"

struct fixup {
    s32 at, resume; /* distances to the instruction, and to the place where the CPU goes on */
};

/* The table; linker/godwit.lds defines its bounds. */
extern const struct fixup __fixups_start[], __fixups_end[];

#endif

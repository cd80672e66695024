/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions that may fault although the hypervisor is right: they load what a guest or a peer has chosen. Each has
 * an entry in a table of the image; after a fault the CPU goes on where the entry says, with the vector of the
 * exception in RAX (host/traps.c). An entry holds two distances from itself.
 */
#pragma once

#ifdef __ASSEMBLER__

/* clang-format off */
#define FIXUP(at, resume) .pushsection .fixups, "a", @progbits; .long at - ., resume - .; .popsection
/* clang-format on */

#else

/* In inline assembly: `instruction`, then RAX is the vector of the exception that it raised, or NO_FAULT. */
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
    s32 at, resume; /* distances: of the instruction, and of where the CPU goes on */
};

/* The table; linker/godwit.lds has its bounds. */
extern const struct fixup __fixups_start[], __fixups_end[];

#endif

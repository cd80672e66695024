/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine around us: which emulator it is, if any, and how to end it. */
#pragma once

#include "host/types.h"

/* How the machine's work ended; each number becomes the exit status of the runner. */
enum end_status { END_PASSED = 0, END_FAILED = 1, END_PANIC = 3 };

/*
 * Print "end status=N", then stop the emulator: isa-debug-exit at port 0xF4 with 0x10 + N under QEMU, the break at
 * port 0x8900 under Bochs. On a real machine, or with `halt` set by the configuration, halt with everything stopped.
 * Any CPU, panic included.
 */
void machine_end(enum end_status status) __attribute__((noreturn));

/* Set `halt` as the configuration says; true: never stop the emulator. */
void machine_set_halt(bool halt);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When we are wrong: stop every processor and say all we know.
 *
 * assert() is kept in release builds. It never judges what a guest, a peer or a configuration said: those are
 * refused, not asserted.
 */
#pragma once

#include "host/types.h"

struct trap_frame;

/*
 * Print the message, the registers (of `frame` if the panic is a trap's, else of the caller), a backtrace by symbol
 * and each CPU's last trace events; stop the other processors by NMI and end the machine with status 3
 * (platform_exit). Any CPU, any context.
 */
void panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void panic_trap(const struct trap_frame *frame, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* Log the call chain that starts at frame pointer rbp with return address rip, one symbol+offset a line. */
void backtrace(u64 rip, u64 rbp);

#define assert(condition)                                                         \
    do {                                                                          \
        if (__builtin_expect(!(condition), 0))                                    \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition); \
    } while (0)

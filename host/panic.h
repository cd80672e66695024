/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For mistakes of our own: stop every processor and print all that we know.
 *
 * assert() is kept in release builds. It never judges input of a guest, a peer or a configuration: bad input is
 * refused, not asserted.
 */
#pragma once

#include "host/types.h"

struct trap_frame;

/*
 * Print the message, the registers (of `frame` if the panic is a trap's, else of the caller), a backtrace by symbol
 * and each CPU's last trace events; stop the other processors by NMI and end the machine with status END_PANIC
 * (machine_end). Any CPU, any context.
 */
void panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void panic_trap(const struct trap_frame *frame, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

#define assert(condition)                                                         \
    do {                                                                          \
        if (__builtin_expect(!(condition), 0))                                    \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition); \
    } while (0)

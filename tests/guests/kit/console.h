/* SPDX-License-Identifier: BSD-2-Clause */
/* The first serial port, polled. */
#pragma once

/* Defined once by each guest; every line of the console starts with it. */
extern const char guest_name[];

/*
 * %s %c %d %u %x %% with a field width, zero padding and the length l. Whole lines are prefixed with guest_name.
 * Callable anywhere, handlers included.
 */
__attribute__((format(printf, 1, 2))) void kprintf(const char *format, ...);

/* The next character typed, or 0 if there is none. */
char console_key(void);

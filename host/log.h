/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: one line for each event, on COM1 and on the emulators' port 0xE9. The most recent of the host's own lines
 * are kept, too. Lines that guests print appear on the port among them, as far as the port has room.
 *
 * A line is "[seconds.microseconds] cpuN level prefix: text". A file that logs defines LOG_PREFIX before this include.
 * Formats are integer formats only (%d %u %x %lx %s %c %p): floating point would touch the guest's vector registers.
 */
#pragma once

#include <stdarg.h>

#include "host/types.h"

#ifndef LOG_PREFIX
#define LOG_PREFIX "godwit"
#endif

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Log one line; the newline is added. Any CPU, any context, but never while the caller holds the log's own lock. */
void log_line(enum log_level level, const char *prefix, const char *format, ...) __attribute__((format(printf, 3, 4)));
void log_vline(enum log_level level, const char *prefix, const char *format, va_list args);

/* Lines above this level are dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);

#define LOG_LINE 256 /* bytes of a line, its newline included; longer lines are cut */
#define LOG_KEPT 256 /* lines of the host that are kept */

/* One of the most recent lines of the host. */
struct kept_line {
    u64 number; /* the host's lines are numbered from 0, without gaps */
    u64 ns;     /* clock_ns at that time */
    enum log_level level;
    u16 len;
    char text[LOG_LINE]; /* "prefix: text"; terminated */
};

/* Show a line that a guest has printed; it is not kept here, but by the guest's console. False: the port has no room
 * for it. Any context. */
bool log_guest(const char *name, const char *text);

/* Host work: write one piece, as much as the port takes at once. From the first call on, no caller of log_line
 * waits for the port. */
u64 log_poll(void);

/* The machine is about to end: write all waiting lines now, and from now on each line at once. */
void log_flush(void);

/* Copy the oldest kept line whose number is at least `number`. False: no such line exists yet. Any CPU. */
bool log_read(u64 number, struct kept_line *line);

/* The number that the next line will get. */
u64 log_next(void);

/* "err", "warn" ... */
const char *log_level_name(enum log_level level);

/*
 * Share the serial port with a person who types at it. All in the host loop.
 * log_raw writes text unchanged, and waits for the port. While log_hold is on, lines wait. log_prompt(true) says that a
 * prompt stands in the last row: the next line erases the prompt first. log_prompt_shown: does the prompt still stand?
 * log_quiet: does no line wait?
 */
void log_raw(const char *text, size_t len);
void log_hold(bool on);
void log_prompt(bool shown);
bool log_prompt_shown(void);
bool log_quiet(void);

/* Panic only: from now on lines are written at once and without the lock, so that a lock whose owner is dead can't
 * silence us. log_flush writes the lines that wait. */
void log_break_lock(void);

#define pr_err(...) log_line(LOG_ERR, LOG_PREFIX, __VA_ARGS__)
#define pr_warn(...) log_line(LOG_WARN, LOG_PREFIX, __VA_ARGS__)
#define pr_info(...) log_line(LOG_INFO, LOG_PREFIX, __VA_ARGS__)
#define pr_debug(...) log_line(LOG_DEBUG, LOG_PREFIX, __VA_ARGS__)

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: one line an event, on COM1 and on port 0xE9 where an emulator has it. The host's own lines are kept, too;
 * what guests print appears on the port beside them, as far as there is room.
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

/* Log one line; the newline is added. Any CPU, any context, never with the log's own lock held. */
void log_line(enum log_level level, const char *prefix, const char *format, ...) __attribute__((format(printf, 3, 4)));
void log_vline(enum log_level level, const char *prefix, const char *format, va_list args);

/* Lines above this level are dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);

#define LOG_LINE 256    /* bytes of a line, its newline included; longer lines are cut */
#define LOG_RECORDS 256 /* lines of the host that are kept */

/* One of the most recent lines of the host. */
struct log_record {
    u64 number; /* lines are numbered from 0, without gaps */
    u64 ns;     /* of clock_ns */
    enum log_level level;
    u16 len;
    char text[LOG_LINE]; /* "prefix: text"; terminated */
};

/* A guest's share of the port. */
struct log_share {
    u64 free_ns;       /* when the lines that were shown would be through at the rate that is allowed */
    u64 unshown, told; /* lines that were too many; how many of them the port has been told of */
};

/* Show a line that a guest has printed; or not, if it has printed too many. Not kept: its console is. Any context, the
 * caller guards `share`. */
void log_guest(struct log_share *share, const char *name, const char *text);

/* Host work: write to the port what it takes at once. From the first call on nobody else waits for the port. */
u64 log_poll(void);

/* Write all that waits, and from now on each line at once: the machine ends. */
void log_flush(void);

/* Copy the oldest kept line whose number is at least `number`. False: there is none yet. Any CPU. */
bool log_read(u64 number, struct log_record *record);

/* The number that the next line will get. */
u64 log_next(void);

/* "err", "warn" ... */
const char *log_level_name(enum log_level level);

/*
 * Share the serial port with a person. All in the host loop.
 * log_raw writes text as it is, and waits for the port. While log_hold is on, lines wait. log_prompt(true) says that a
 * prompt stands in the last row: the next line wipes it first; log_prompt_shown tells whether it still stands,
 * log_quiet that no line waits.
 */
void log_raw(const char *text, size_t len);
void log_hold(bool on);
void log_prompt(bool shown);
bool log_prompt_shown(void);
bool log_quiet(void);

/* Panic only: from now on lines are written at once and without taking the lock, so that a dead owner can't silence us.
 * What waits comes with log_flush. */
void log_break_lock(void);

#define pr_err(...) log_line(LOG_ERR, LOG_PREFIX, __VA_ARGS__)
#define pr_warn(...) log_line(LOG_WARN, LOG_PREFIX, __VA_ARGS__)
#define pr_info(...) log_line(LOG_INFO, LOG_PREFIX, __VA_ARGS__)
#define pr_debug(...) log_line(LOG_DEBUG, LOG_PREFIX, __VA_ARGS__)

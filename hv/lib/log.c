/* SPDX-License-Identifier: BSD-2-Clause */
/* The log: lines are formatted on the caller's stack, so that the lock is held for the output alone. */
#include "hv/lib/log.h"

#include <stdio.h>
#include <string.h>

#include "hv/cpu/clock.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/serial.h"
#include "hv/lib/bits.h"
#include "hv/lib/lock.h"

#define RECORDS 256     /* lines kept */
#define WIPE "\r\x1b[K" /* to the row's start, and erase it */

static struct spinlock lock; /* guards the serial port's output and all below but threshold */
static bool lock_broken;
static struct log_record ring[RECORDS];
static u64 next_number;
static bool held;
static u64 held_from; /* first line that the serial port has not seen */
static bool prompt;   /* stands in the last row */
static enum log_level threshold = LOG_INFO;

static const char *const level_names[] = { "err", "warn", "info", "debug" };

void log_set_level(enum log_level level)
{
    threshold = level;
}

void log_break_lock(void)
{
    __atomic_store_n(&lock_broken, true, __ATOMIC_RELEASE);
    log_hold(false);
}

/* Where a formatting that wanted `wrote` bytes after line[at] has ended; one byte is kept for the terminator. */
static size_t line_end(size_t at, int wrote)
{
    return wrote < 0 ? at : MIN(at + (size_t)wrote, (size_t)LOG_LINE - 1);
}

static size_t line_head(char *line, enum log_level level, const char *prefix)
{
    u64 us = clock_ns() / 1000;

    return line_end(0, snprintf(line, LOG_LINE, "[%5lu.%06lu] cpu%u %-5s %s: ", us / 1000000, us % 1000000,
                                this_cpu()->index, level_names[level], prefix));
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

/* Returns whether the lock is ours. */
static bool log_lock(void)
{
    if (__atomic_load_n(&lock_broken, __ATOMIC_ACQUIRE))
        return false;
    spin_lock(&lock);
    return true;
}

static void log_unlock(bool locked)
{
    if (locked)
        spin_unlock(&lock);
}

static void record_write(const struct log_record *record)
{
    if (prompt)
        serial_write(WIPE, sizeof(WIPE) - 1);
    prompt = false;
    serial_write(record->text, record->len);
    serial_write("\n", 1);
}

/* Write what has been held back, as far as it is still kept. */
static void held_write(void)
{
    if (next_number > RECORDS)
        held_from = MAX(held_from, next_number - RECORDS);
    for (; held_from < next_number; held_from++)
        record_write(&ring[held_from % RECORDS]);
}

static void line_write(enum log_level level, const char *line, size_t len)
{
    bool locked = log_lock();
    struct log_record *record = &ring[next_number % RECORDS];

    record->number = next_number++;
    record->level = level;
    record->len = (u16)len;
    memcpy(record->text, line, len);
    record->text[len] = '\0';
    if (!held)
        record_write(record);
    log_unlock(locked);
}

bool log_read(u64 number, struct log_record *record)
{
    bool locked = log_lock();

    if (next_number > RECORDS)
        number = MAX(number, next_number - RECORDS);

    bool found = number < next_number;

    if (found)
        *record = ring[number % RECORDS];
    log_unlock(locked);
    return found;
}

u64 log_next(void)
{
    return __atomic_load_n(&next_number, __ATOMIC_ACQUIRE);
}

void log_raw(const char *text, size_t len)
{
    bool locked = log_lock();

    serial_write(text, len);
    log_unlock(locked);
}

void log_hold(bool on)
{
    bool locked = log_lock();

    if (held && !on)
        held_write();
    if (!held && on)
        held_from = next_number;
    held = on;
    log_unlock(locked);
}

void log_prompt(bool shown)
{
    __atomic_store_n(&prompt, shown, __ATOMIC_RELAXED);
}

bool log_prompt_shown(void)
{
    return __atomic_load_n(&prompt, __ATOMIC_RELAXED);
}

void log_vline(enum log_level level, const char *prefix, const char *format, va_list args)
{
    char line[LOG_LINE];
    size_t len;

    if (level > threshold)
        return;
    len = line_head(line, level, prefix);
    len = line_end(len, vsnprintf(line + len, sizeof(line) - len, format, args));
    while (len > 0 && line[len - 1] == '\n') /* callers of other habits end their texts so */
        len--;
    line_write(level, line, len);
}

void log_line(enum log_level level, const char *prefix, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_vline(level, prefix, format, args);
    va_end(args);
}

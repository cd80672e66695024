/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line is formatted on the caller's stack, kept in `ring` if it is the host's own, and queued for the serial port,
 * which takes 10 ms for a line: the host loop writes the queue in pieces (log_poll). So the lock is held only for two
 * copies. Only the boot, before the host loop runs, and the end of the machine wait for the port.
 */
#include "host/log.h"

#include <stdio.h>
#include <string.h>

#include "host/asm.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/serial.h"
#include "host/smp.h"
#include "host/bits.h"
#include "host/lock.h"

#define WIPE "\r\x1b[K" /* to the row's start, and erase it */
#define QUEUE 0x20000   /* bytes; a power of two */
#define GUESTS_SHARE (QUEUE / 4 * 3)
#define PIECE_NS 1400000 /* time that a port takes for one piece */

/* Guards the serial port's output and all below but threshold. */
static struct spinlock lock = SPINLOCK(LOCK_LOG);
static bool lock_broken;
static struct kept_line ring[LOG_KEPT];
static u64 next_number;
static bool held;
static bool prompt; /* a prompt stands in the last row */
static bool polled; /* the host loop writes the queue */
static enum log_level threshold = LOG_INFO;

static struct {
    char bytes[QUEUE]; /* lines with their ends */
    u64 put, taken;    /* bytes, ever */
    u64 lost;          /* lines of the host that found no room and are not reported yet */
} queue;

static const char *const level_names[] = { "err", "warn", "info", "debug" };

void log_set_level(enum log_level level)
{
    threshold = level;
}

/* Where a formatting that wanted `wrote` bytes after line[at] has ended; one byte is kept for the terminator. */
static size_t line_end(size_t at, int wrote)
{
    return wrote < 0 ? at : MIN(at + (size_t)wrote, (size_t)LOG_LINE - 1);
}

static size_t line_head(char *line, u64 ns, enum log_level level)
{
    u64 us = ns / 1000;

    return line_end(0, snprintf(line, LOG_LINE, "[%5lu.%06lu] cpu%u %-5s ", us / 1000000, us % 1000000,
                                this_cpu()->index, level_names[level]));
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

/* --- The queue ---------------------------------------------------------------------------------------------------- */

static bool is_waiting(void)
{
    return queue.put != queue.taken;
}

/* Has the last line that was begun been written to its end? */
static bool is_between_lines(void)
{
    return queue.taken == 0 || queue.bytes[(queue.taken - 1) % QUEUE] == '\n';
}

/* Append a line, unless that fills the queue beyond `most`. */
static bool queue_put(const char *line, size_t len, size_t most)
{
    if (queue.put - queue.taken + len + 1 > most)
        return false;
    for (size_t i = 0; i <= len; i++)
        queue.bytes[queue.put++ % QUEUE] = i < len ? line[i] : '\n';
    return true;
}

/* Append a line of the host; before it, report how many lines found no room. */
static void queue_put_host(const char *line, size_t len)
{
    char note[80];

    if (queue.lost) {
        int wrote = snprintf(note, sizeof(note), "(%lu lines were too many for this port; see log)", queue.lost);

        if (queue_put(note, (size_t)wrote, QUEUE - LOG_LINE))
            queue.lost = 0;
    }
    if (queue.lost || !queue_put(line, len, QUEUE))
        queue.lost++;
}

static void wipe_prompt(void)
{
    if (prompt)
        serial_write(WIPE, sizeof(WIPE) - 1);
    prompt = false;
}

/* The next bytes to write, up to the end of their line or of the array. */
static size_t next_bytes(const char **bytes)
{
    size_t at = queue.taken % QUEUE, len = MIN(queue.put - queue.taken, QUEUE - at);
    const char *end;

    *bytes = queue.bytes + at;
    end = memchr(*bytes, '\n', len);
    return end ? (size_t)(end + 1 - *bytes) : len;
}

/* Write a line, or the rest of one, and wait for the port. */
static void write_line(void)
{
    const char *bytes;
    size_t len;

    wipe_prompt();
    do {
        len = next_bytes(&bytes);
        serial_write(bytes, len);
        queue.taken += len;
    } while (is_waiting() && !is_between_lines());
}

static void write_all(void)
{
    while (is_waiting())
        write_line();
}

static void finish_line(void)
{
    if (!is_between_lines())
        write_line();
}

/* Is there something that the host loop may write now? */
static bool is_due(void)
{
    return is_waiting() && !(held && is_between_lines());
}

u64 log_poll(void)
{
    bool locked = log_lock(), busy = false, more;

    polled = true;
    if (is_due()) {
        const char *bytes;
        size_t len = next_bytes(&bytes), taken;

        wipe_prompt();
        taken = serial_offer(bytes, len);
        queue.taken += taken;
        busy = taken == 0;
    }
    more = is_due();
    log_unlock(locked);
    return !more ? ~0ULL : busy ? rdtsc() + clock_ns_to_ticks(PIECE_NS) : rdtsc();
}

void log_flush(void)
{
    bool locked = log_lock();

    held = polled = false;
    write_all();
    log_unlock(locked);
}

void log_break_lock(void)
{
    __atomic_store_n(&lock_broken, true, __ATOMIC_RELEASE);
    polled = false;
    if (!is_between_lines())
        serial_write("\n", 1);
}

/* --- Lines -------------------------------------------------------------------------------------------------------- */

/* A line was queued; `first`: none waited before. Until the host loop writes the queue, write it here, else the first
 * line wakes the host loop. Gives the lock up. */
static void queued_unlock(bool locked, bool first)
{
    if (!polled && !held)
        write_all();
    first &= is_waiting();
    log_unlock(locked);
    if (first)
        cpu_kick(0);
}

static void line_write(u64 ns, enum log_level level, const char *line, size_t body, size_t len)
{
    bool locked = log_lock(), first = !is_waiting();
    struct kept_line *kept = &ring[next_number % LOG_KEPT];

    kept->number = next_number++;
    kept->ns = ns;
    kept->level = level;
    kept->len = (u16)(len - body);
    memcpy(kept->text, line + body, len - body);
    kept->text[len - body] = '\0';
    if (locked) {
        queue_put_host(line, len);
        queued_unlock(locked, first);
    } else { /* in a panic, nothing is waited for */
        wipe_prompt();
        serial_write(line, len);
        serial_write("\n", 1);
    }
}

bool log_guest(const char *name, const char *text)
{
    char line[LOG_LINE];
    size_t len = line_head(line, clock_ns(), LOG_INFO);

    if (LOG_INFO > threshold)
        return true;
    len = line_end(len, snprintf(line + len, sizeof(line) - len, "%s: | %s", name, text));

    bool locked = log_lock(), first = !is_waiting(), put = queue_put(line, len, GUESTS_SHARE);

    queued_unlock(locked, first && put);
    return put;
}

bool log_read(u64 number, struct kept_line *kept)
{
    bool locked = log_lock();

    if (next_number > LOG_KEPT)
        number = MAX(number, next_number - LOG_KEPT);

    bool found = number < next_number;

    if (found)
        *kept = ring[number % LOG_KEPT];
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

    finish_line();
    serial_write(text, len);
    log_unlock(locked);
}

void log_hold(bool on)
{
    bool locked = log_lock();

    if (on)
        finish_line();
    held = on;
    log_unlock(locked);
    if (!on)
        cpu_kick(0);
}

void log_prompt(bool shown)
{
    __atomic_store_n(&prompt, shown, __ATOMIC_RELAXED);
}

bool log_prompt_shown(void)
{
    return __atomic_load_n(&prompt, __ATOMIC_RELAXED);
}

bool log_quiet(void)
{
    bool locked = log_lock(), quiet = !is_waiting();

    log_unlock(locked);
    return quiet;
}

void log_vline(enum log_level level, const char *prefix, const char *format, va_list args)
{
    char line[LOG_LINE];
    u64 ns = clock_ns();
    size_t body, len;

    if (level > threshold)
        return;
    body = line_head(line, ns, level);
    len = line_end(body, snprintf(line + body, sizeof(line) - body, "%s: ", prefix));
    len = line_end(len, vsnprintf(line + len, sizeof(line) - len, format, args));
    while (len > 0 && line[len - 1] == '\n') /* some callers end their texts with newlines */
        len--;
    line_write(ns, level, line, body, len);
}

void log_line(enum log_level level, const char *prefix, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_vline(level, prefix, format, args);
    va_end(args);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the host. */
#include <string.h>

#include "hv/backend.h"
#include "control/command.h"
#include "control/commands.h"
#include "control/json.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/rtc.h"
#include "host/bits.h"
#include "host/log.h"
#include "config/version.h"
#include "guest/load/kept.h"
#include "hv/vm.h"
#include "migrate/migration.h"
#include "host/frame.h"

#define USAGE 80
#define LOG_LINES_DEFAULT 20

static void put_command(struct json *out, const struct command *command)
{
    char usage[USAGE];

    command_usage(command, usage, sizeof(usage));
    json_object(out, NULL);
    json_string(out, "command", usage);
    json_string(out, "meaning", command->help);
    json_close(out);
}

int command_help(struct call *call)
{
    size_t count;
    const struct command *table = command_table(&count);

    json_array(call->out, "commands");
    for (size_t i = 0; i < count; i++)
        if (!call->arg[0].given || call->arg[0].command == &table[i])
            put_command(call->out, &table[i]);
    json_close(call->out);
    return 0;
}

int command_version(struct call *call)
{
    json_string(call->out, "name", GODWIT_NAME);
    json_string(call->out, "version", GODWIT_VERSION);
    json_string(call->out, "backend", backend()->name);
    json_number(call->out, "processors", cpu_count());
    json_number(call->out, "tsc_khz", clock_tsc_khz());
    json_number(call->out, "uptime_ms", clock_ns() / 1000000);
    return 0;
}

int command_memory(struct call *call)
{
    struct frame_stats stats = frame_stats();
    struct migration_totals moves = migration_totals();
    struct json *out = call->out;

    json_number(out, "total_kib", stats.total * 4);
    json_number(out, "free_kib", stats.free * 4);
    json_number(out, "bookkeeping_kib", stats.bookkeeping * 4);
    json_number(out, "incoming_kib", moves.incoming >> 10);
    json_number(out, "incoming_limit_kib", moves.incoming_limit >> 10);
    json_number(out, "incoming_limit_per_host_kib", moves.incoming_limit_per_host >> 10);
    json_number(out, "images_kept", kept_count());
    json_number(out, "images_kept_kib", kept_bytes() >> 10);
    json_array(out, "guests");
    list_each (const struct vm, vm, vm_list()) {
        json_object(out, NULL);
        json_string(out, "name", vm->name);
        json_number(out, "memory_kib", vm->mem.size >> 10);
        json_number(out, "pages_4k", vm->mem.pages_4k);
        json_number(out, "pages_2m", vm->mem.pages_2m);
        json_number(out, "pages_1g", vm->mem.pages_1g);
        json_number(out, "nested_tables_kib", vm->npt.tables * 4);
        json_close(out);
    }
    json_close(out);
    return 0;
}

static void put_processors(struct json *out)
{
    json_array(out, "processors");
    for (u32 i = 0; i < cpu_count(); i++) {
        json_object(out, NULL);
        json_number(out, "cpu", i);
        json_number(out, "idle_ms", clock_ticks_to_ns(cpu_at(i)->idle_ticks) / 1000000);
        json_close(out);
    }
    json_close(out);
}

/* One row for each reason that occurred in each VM. */
static void put_exits(struct json *out)
{
    json_array(out, "exits");
    list_each (const struct vm, vm, vm_list()) {
        for (unsigned kind = 0; kind < NR_EXITS; kind++) {
            u64 count = vm_exits(vm, kind);

            if (!count)
                continue;
            json_object(out, NULL);
            json_string(out, "name", vm->name);
            json_string(out, "reason", exit_handlers[kind].name);
            json_number(out, "count", count);
            json_close(out);
        }
    }
    json_close(out);
}

int command_stats(struct call *call)
{
    json_number(call->out, "uptime_ms", clock_ns() / 1000000);
    put_processors(call->out);
    put_exits(call->out);
    return 0;
}

/* Of the lines of at most this level before number `end`, the last `count` are wanted: returns the number of the first
 * one. */
static u64 log_first(u64 count, enum log_level level, u64 end)
{
    struct kept_line line;
    u64 lines = 0, number = 0;

    for (; log_read(number, &line) && line.number < end; number = line.number + 1)
        lines += line.level <= level;
    for (number = 0; lines > count && log_read(number, &line); number = line.number + 1)
        lines -= line.level <= level;
    return number;
}

static void put_line(struct json *out, const struct kept_line *line)
{
    char time[RTC_TEXT];

    rtc_text(line->ns, time);
    json_object(out, NULL);
    json_number(out, "seq", line->number);
    json_string(out, "time", time);
    json_string(out, "level", log_level_name(line->level));
    json_bytes(out, "text", line->text, line->len);
    json_close(out);
}

/* Shows the lines from `since` on, or the last ones. If the ring has lost lines before them, the answer says so. */
int command_log(struct call *call)
{
    bool since = call->arg[2].given;
    u64 count = call->arg[0].given ? call->arg[0].number : since ? LOG_KEPT : LOG_LINES_DEFAULT, end = log_next();
    enum log_level level = call->arg[1].given ? (enum log_level)call->arg[1].number : LOG_DEBUG;
    u64 number = since ? call->arg[2].number : log_first(count, level, end);
    struct kept_line line;

    if (since && number < end && log_read(number, &line) && line.number > number)
        json_number(call->out, "lost", line.number - number);
    call->no_news = true;
    json_array(call->out, "lines");
    for (; count > 0 && number < end && log_read(number, &line) && line.number < end; number = line.number + 1) {
        if (line.level > level)
            continue;
        put_line(call->out, &line);
        call->no_news = false;
        count--;
    }
    json_close(call->out);
    json_number(call->out, "next", MIN(number, end));
    return 0;
}

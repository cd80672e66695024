/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that move virtual machines, and the settings of moves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/config.h"
#include "hv/control/command.h"
#include "hv/control/commands.h"
#include "hv/control/json.h"
#include "hv/vm.h"
#include "migrate/migration.h"

#define DIRTY_RATE_MS 1000

/* --- Moves --------------------------------------------------------------------------------------------------- */

static bool word_is(const char *word, size_t len, const char *text)
{
    return strlen(text) == len && !strncmp(word, text, len);
}

/* "stop-copy,verify". */
static int parse_options(struct call *call, const char *text, struct migration_request *request)
{
    bool live = false;

    while (*text) {
        size_t len = strcspn(text, ",");

        if (word_is(text, len, "stop-copy"))
            request->stop_copy = true;
        else if (word_is(text, len, "verify"))
            request->verify = true;
        else if (word_is(text, len, "live"))
            live = true;
        else
            return call_fail(call, -EINVAL, "options: '%.*s' is wrong, expected live or stop-copy, and verify",
                             (int)(len < 32 ? len : 32), text);
        text += len;
        text += *text == ',';
    }
    if (live && request->stop_copy)
        return call_fail(call, -EINVAL, "options: live and stop-copy contradict each other, expected one of them");
    return 0;
}

static int begin(struct call *call, struct migration_request *request)
{
    struct vm *vm = call->arg[0].vm;
    const char *reason = "", *options = call->arg[2].given ? call->arg[2].text : "";
    char peer[TCP_ADDRESS_TEXT];
    int err = parse_options(call, options, request);

    if (err)
        return err;
    if (tcp_address_parse(call->arg[1].text, CONFIG_MIGRATION_PORT, &request->to))
        return call_fail(call, -EINVAL,
                         "dest: '%.60s' is wrong, expected an address such as 192.0.2.1, 192.0.2.1:4900 "
                         "or [2001:db8::1]:4900",
                         call->arg[1].text);
    err = migration_start(vm, request, &reason);
    if (err)
        return call_fail(call, err == -ENOMEM ? err : -EBUSY, "%s: cannot move, %s", vm->name, reason);
    tcp_address_text(&request->to, peer);
    json_string(call->out, "vm", vm->name);
    json_string(call->out, "peer", peer);
    json_string(call->out, "status", "setup");
    json_number(call->out, "epoch", move_stats(migration_move(0))->epoch);
    return 0;
}

int command_migrate(struct call *call)
{
    return begin(call, &(struct migration_request){ .check = false });
}

int command_migrate_check(struct call *call)
{
    return begin(call, &(struct migration_request){ .check = true });
}

int command_migrate_cancel(struct call *call)
{
    struct vm *vm = call->arg[0].vm;

    switch (migration_cancel(vm)) {
    case 0: break;
    case -ENOENT: return call_fail(call, -EBUSY, "%s: no move is under way", vm->name);
    default:
        return call_fail(call, -EBUSY, "%s: too late to cancel, the destination was told to run it; see resolve",
                         vm->name);
    }
    json_string(call->out, "vm", vm->name);
    json_string(call->out, "status", "cancelling");
    return 0;
}

/* --- Contested ------------------------------------------------------------------------------------------------- */

enum { RESOLVE_QUERY, RESOLVE_ABORT, RESOLVE_FORCE_RESUME, RESOLVE_FORCE_GIVE_UP };
const char *const resolve_actions[] = { "query", "abort", "force-resume", "force-give-up", NULL };

int command_resolve(struct call *call)
{
    static const enum source_resolution resolutions[] = {
        [RESOLVE_ABORT] = SOURCE_QUERY_ABORT,
        [RESOLVE_FORCE_RESUME] = SOURCE_FORCE_RESUME,
        [RESOLVE_FORCE_GIVE_UP] = SOURCE_FORCE_GIVE_UP,
    };
    struct vm *vm = call->arg[0].vm;
    u64 action = call->arg[1].number, epoch;
    const char *status = migration_contested(vm, &epoch);

    if (!status)
        return call_fail(call, -EBUSY, "%s: it is neither in doubt nor superseded", vm->name);
    if (action == RESOLVE_ABORT && strcmp(status, "in-doubt") != 0)
        return call_fail(call, -EBUSY, "%s: it is %s: no move is left to abort", vm->name, status);
    if (action >= RESOLVE_FORCE_RESUME && (!call->arg[2].given || call->arg[2].number != epoch))
        return call_fail(call, -EINVAL,
                         "%s: force is for who knows what the other machine does, and never undone: repeat the epoch, "
                         "%lu, to confirm",
                         vm->name, (unsigned long)epoch);
    if (action != RESOLVE_QUERY && migration_resolve(vm, resolutions[action]))
        return call_fail(call, -EBUSY, "%s: cannot %s, it is not %s any more", vm->name, resolve_actions[action],
                         status);
    json_string(call->out, "vm", vm->name);
    json_string(call->out, "status", status);
    json_number(call->out, "epoch", epoch);
    if (!strcmp(status, "in-doubt"))
        json_string(call->out, "destination",
                    migration_unknown(vm) ? "knows of no such move: only force is left" : "has not answered yet");
    json_string(call->out, "action", resolve_actions[action]);
    return 0;
}

/* --- Settings -------------------------------------------------------------------------------------------------- */

static const char *const stall_names[] = {
    [POLICY_STALL_STOP] = "stop", [POLICY_STALL_ABORT] = "abort", [POLICY_STALL_THROTTLE] = "throttle", NULL
};
static const char *const log_names[] = {
    [DIRTY_OFF] = "auto", [DIRTY_WRITE_PROTECT] = "write-protect", [DIRTY_DBIT] = "dbit", [DIRTY_PML] = "pml", NULL
};
static const char *const split_names[] = { [DIRTY_SPLIT_LAZY] = "lazy", [DIRTY_SPLIT_EAGER] = "eager", NULL };

#define AT(member) offsetof(struct migration_settings, member)

/* In the order of migrate_parameters. */
static const struct parameter {
    size_t offset;
    bool wide; /* u64, else u32 */
    u64 min, max;
    const char *const *choices; /* of an enum; NULL: a number */
} parameters[] = {
    { AT(downtime_limit), false, 1, 60000, NULL },
    { AT(max_bandwidth), true, 0, 64ULL << 30, NULL },
    { AT(max_rounds), false, 1, MIGRATE_ROUNDS, NULL },
    { AT(on_stall), false, 0, 0, stall_names },
    { AT(throttle.initial), false, 1, 99, NULL },
    { AT(throttle.increment), false, 1, 99, NULL },
    { AT(throttle.max), false, 1, 99, NULL },
    { AT(log), false, 0, 0, log_names },
    { AT(split), false, 0, 0, split_names },
    { AT(announce.initial), false, 1, 100000, NULL },
    { AT(announce.max), false, 1, 100000, NULL },
    { AT(announce.rounds), false, 0, 1000, NULL },
    { AT(announce.step), false, 0, 10000, NULL },
};

const char *const migrate_parameters[] = {
    "downtime-limit",         "max-bandwidth",    "max-rounds",    "on-stall",    "cpu-throttle-initial",
    "cpu-throttle-increment", "max-cpu-throttle", "dirty-log",     "dirty-split", "announce-initial",
    "announce-max",           "announce-rounds",  "announce-step", NULL
};
_Static_assert(sizeof(migrate_parameters) / sizeof(*migrate_parameters) == ARRAY_SIZE(parameters) + 1, "in order");
_Static_assert(MIGRATE_ROUNDS == 64, "boot/config_keys.c has the same limits");
_Static_assert((int)POLICY_STALL_THROTTLE == (int)CONFIG_STALL_THROTTLE, "boot/config_keys.c has the same order");
_Static_assert(sizeof(enum dirty_producer) == 4 && sizeof(enum dirty_split) == 4, "kept as u32");

static void *field(const struct parameter *parameter)
{
    return (u8 *)migration_settings() + parameter->offset;
}

static u64 get(const struct parameter *parameter)
{
    return parameter->wide ? *(u64 *)field(parameter) : *(u32 *)field(parameter);
}

static void set(const struct parameter *parameter, u64 value)
{
    if (parameter->wide)
        *(u64 *)field(parameter) = value;
    else
        *(u32 *)field(parameter) = (u32)value;
}

int command_query_migrate_parameters(struct call *call)
{
    for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
        const struct parameter *parameter = &parameters[i];

        if (parameter->choices)
            json_string(call->out, migrate_parameters[i], parameter->choices[get(parameter)]);
        else
            json_number(call->out, migrate_parameters[i], get(parameter));
    }
    return 0;
}

static int set_number(struct call *call, const char *name, const struct parameter *parameter, const char *text)
{
    char *end;
    u64 value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value < parameter->min || value > parameter->max || strlen(text) > 15)
        return call_fail(call, -EINVAL, "%s: '%.32s' is wrong, expected a number from %lu to %lu", name, text,
                         (unsigned long)parameter->min, (unsigned long)parameter->max);
    set(parameter, value);
    return 0;
}

static int set_choice(struct call *call, const char *name, const struct parameter *parameter, const char *text)
{
    char all[80] = "";

    for (u64 i = 0; parameter->choices[i]; i++) {
        if (!strcmp(parameter->choices[i], text)) {
            set(parameter, i);
            return 0;
        }
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "", parameter->choices[i]);
    }
    return call_fail(call, -EINVAL, "%s: '%.32s' is wrong, expected one of %s", name, text, all);
}

int command_migrate_set_parameters(struct call *call)
{
    u64 i = call->arg[0].number;
    const struct parameter *parameter = &parameters[i];
    int err = (parameter->choices ? set_choice : set_number)(call, migrate_parameters[i], parameter, call->arg[1].text);

    if (err)
        return err;
    migration_limits_changed();
    return command_query_migrate_parameters(call);
}

/* --- The dirty rate, without a move ------------------------------------------------------------------------------ */

int command_calc_dirty_rate(struct call *call)
{
    struct vm *vm = call->arg[0].vm;
    u32 ms = call->arg[1].given ? (u32)call->arg[1].number : DIRTY_RATE_MS;
    int err = migration_active(vm) ? -EBUSY : vm_running(vm) ? dirty_rate_start(vm, ms) : -EINVAL;

    if (err)
        return call_fail(call, err == -ENOMEM ? err : -EBUSY, "%s: cannot measure, %s", vm->name,
                         err == -EBUSY    ? "its dirty log is in use, by a move or a measurement"
                         : err == -ENOMEM ? "no memory"
                                          : "it does not run");
    return command_query_dirty_rate(call);
}

int command_query_dirty_rate(struct call *call)
{
    static const char *const names[] = {
        [DIRTY_RATE_UNSTARTED] = "unstarted", [DIRTY_RATE_MEASURING] = "measuring", [DIRTY_RATE_MEASURED] = "measured"
    };
    const struct vm *vm = call->arg[0].vm;
    const struct dirty_rate *rate = &vm->dirty_rate;

    json_string(call->out, "vm", vm->name);
    json_string(call->out, "status", names[rate->status]);
    json_number(call->out, "calc-time", rate->calc_time);
    json_number(call->out, "pages", rate->pages);
    json_number(call->out, "dirty-rate", rate->rate);
    return 0;
}

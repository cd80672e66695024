/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that move virtual machines, and the settings of moves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_keys.h"
#include "control/command.h"
#include "control/commands.h"
#include "control/json.h"
#include "control/status.h"
#include "dev/shutdown.h"
#include "host/bits.h"
#include "hv/vm.h"
#include "owners/asking.h"
#include "migrate/halves.h"
#include "mm/guest_missing.h"
#include "migrate/migration.h"
#include "migrate/vm_files.h"
#include "protect/protection.h"

/* --- Moves --------------------------------------------------------------------------------------------------- */

static bool word_is(const char *word, size_t len, const char *text)
{
    return strlen(text) == len && !strncmp(word, text, len);
}

/* The mode of that name; more than MODE_AUTO: there is none. */
static enum migrate_mode parse_mode(const char *word, size_t len)
{
    enum migrate_mode mode = MODE_LIVE;

    while (mode <= MODE_AUTO && !word_is(word, len, migrate_mode_name(mode)))
        mode++;
    return mode;
}

#define OPTIONS                                                                                                \
    "live, stop-copy, post-copy, hybrid, demand, cold or auto; verify, with-images; of cold: stopped, force, " \
    "timeout=S (1 to 3600)"

/* Read the seconds behind "timeout=". False: they are none. */
static bool parse_timeout(const char *word, size_t len, u32 *timeout)
{
    static const char name[] = "timeout=";
    u64 value = 0;
    size_t at = sizeof(name) - 1;

    if (len <= at || strncmp(word, name, at) != 0)
        return false;
    for (; at < len && word[at] >= '0' && word[at] <= '9' && value <= SHUTDOWN_MAX_S; at++)
        value = 10 * value + (u64)(word[at] - '0');
    *timeout = (u32)value;
    return at == len && value >= 1 && value <= SHUTDOWN_MAX_S;
}

/* Read an option that is no mode. False: there is no such option. */
static bool parse_option(const char *word, size_t len, struct migration_request *request)
{
    bool *const flags[] = { &request->verify, &request->images, &request->stopped, &request->force };
    static const char *const names[] = { "verify", "with-images", "stopped", "force" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (word_is(word, len, names[i]))
            return *flags[i] = true;
    return parse_timeout(word, len, &request->timeout);
}

/* Do the options fit together? */
static int judge_options(struct call *call, unsigned modes, const struct migration_request *request)
{
    bool cold = request->mode == MODE_COLD;

    if (modes & (modes - 1))
        return call_fail(call, -EINVAL, "options: these modes contradict each other, expected one of them");
    if (request->verify && request->mode >= MODE_POSTCOPY && request->mode != MODE_AUTO)
        return call_fail(call, -EINVAL,
                         "options: verify compares all memory before the guest is let go, which %s does not, expected "
                         "one of the two",
                         migrate_mode_name(request->mode));
    if (!cold && (request->stopped || request->force || request->timeout))
        return call_fail(call, -EINVAL, "options: stopped, force and timeout are for mode cold");
    if (cold && request->images)
        return call_fail(call, -EINVAL, "options: in mode cold the images come in any case");
    return 0;
}

/* Read the options of a move, such as "stop-copy,verify". */
static int parse_options(struct call *call, const char *text, struct migration_request *request)
{
    unsigned modes = 0;

    while (*text) {
        size_t len = strcspn(text, ",");
        enum migrate_mode mode = parse_mode(text, len);

        if (mode != NR_MODES)
            modes |= 1u << (request->mode = mode);
        else if (!parse_option(text, len, request))
            return call_fail(call, -EINVAL, "options: '%.*s' is wrong, expected " OPTIONS, (int)(len < 32 ? len : 32),
                             text);
        text += len;
        text += *text == ',';
    }
    return judge_options(call, modes, request);
}

/* A guest that does not run moves cold only; one that is paused can't shut down. */
static int judge_status(struct call *call, const struct vm *vm, enum migrate_mode mode)
{
    bool lives = vm_running(vm) || vm->status == VM_PAUSED;

    if (mode != MODE_COLD && !lives)
        return call_fail(call, -EBUSY,
                         "%s: cannot migrate, it is %s, expected running, paused or suspended, or "
                         "the option cold",
                         vm->name, shown_name(shown_status(vm)));
    if (asking_about(vm))
        return call_fail(call, -EBUSY, "%s: cannot migrate yet, other hypervisors are being asked who has it",
                         vm->name);
    if (mode == MODE_COLD && lives && shown_status(vm) != VM_RUNNING)
        return call_fail(call, -EBUSY, "%s: cannot migrate cold, it is %s and can't shut down, expected running",
                         vm->name, shown_name(shown_status(vm)));
    return 0;
}

static int begin(struct call *call, struct migration_request *request)
{
    struct vm *vm = call->arg[0].vm;
    const char *reason = "", *options = call->arg[2].given ? call->arg[2].text : "";
    char peer[TCP_ADDRESS_TEXT];
    int err = parse_options(call, options, request);

    if (!err)
        err = judge_status(call, vm, request->mode);
    if (err)
        return err;
    if (tcp_address_parse(call->arg[1].text, CONFIG_MIGRATION_PORT, &request->to))
        return call_fail(
            call, -EINVAL,
            "dest: '%.60s' is wrong, expected another machine's address, such as 192.0.2.1, 192.0.2.1:4900 "
            "or [2001:db8::1]:4900",
            call->arg[1].text);
    err = migration_start(vm, request, &reason);
    if (err)
        return call_fail(call, err == -ENOMEM ? err : -EBUSY, "%s: cannot move, %s", vm->name, reason);
    tcp_address_text(&request->to, peer);
    json_string(call->out, "vm", vm->name);
    json_string(call->out, "peer", peer);
    json_string(call->out, "status", "setup");
    json_number(call->out, "epoch", move_stats(moves_get(0))->epoch);
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
    const struct protection *p = protection_of(vm);

    if (p && p->guarded)
        return call_fail(call, -EBUSY, "%s: it is protected, expected unprotect at the machine that runs it", vm->name);
    json_string(call->out, "vm", vm->name);
    json_string(call->out, "status", "cancelling");
    switch (migration_cancel(vm)) { /* an incoming VM is gone then */
    case 0: return 0;
    case -ENOENT:
        return call_fail(call, -EBUSY, "%s: no move is under way%s", vm->name,
                         guest_mem_missing_count(&vm->mem) ? " that could be cancelled: it runs here, and pages follow"
                                                           : "");
    default:
        return call_fail(call, -EBUSY, "%s: too late to cancel, the destination was told to run it; see resolve",
                         vm->name);
    }
}

int command_migrate_start_postcopy(struct call *call)
{
    struct vm *vm = call->arg[0].vm;

    json_string(call->out, "vm", vm->name);
    switch (halves_make(vm)) {
    case 0: return 0;
    case -ENOTSUP:
        return call_fail(call, -EBUSY,
                         "%s: cannot hand over now, the move verifies, protects or is cold, or its destination does "
                         "not know post-copy",
                         vm->name);
    case -ENODEV:
        return call_fail(call, -EBUSY, "%s: cannot hand over, it is being saved to a file, where nothing runs",
                         vm->name);
    case -EBUSY: return call_fail(call, -EBUSY, "%s: it is being handed over already", vm->name);
    case -EAGAIN:
        return call_fail(call, -EBUSY, "%s: cannot hand over yet, its destination has not answered", vm->name);
    default: return call_fail(call, -EBUSY, "%s: no move is under way", vm->name);
    }
}

int command_pull(struct call *call)
{
    struct vm *vm = call->arg[0].vm;

    json_string(call->out, "vm", vm->name);
    return halves_join(vm) ? call_fail(call, -EBUSY, "%s: no pages of it are missing", vm->name) : 0;
}

int command_migrate_settle(struct call *call)
{
    json_number(call->out, "settled", migration_settle_ended());
    return 0;
}

enum { FILES_STOP = 1 };
const char *const files_actions[] = { "send", [FILES_STOP] = "stop", NULL };

int command_migrate_files(struct call *call)
{
    bool stop = call->arg[1].given && call->arg[1].number == FILES_STOP;
    struct move *move = moves_find(call->arg[0].text);
    char peer[TCP_ADDRESS_TEXT];
    const char *reason = "";
    int err;

    if (!move)
        return call_fail(call, -ENOENT, "no move of a virtual machine '%.32s' from here is known", call->arg[0].text);
    if (stop && vm_files_stop(move))
        return call_fail(call, -EBUSY, "%s: no files are following it", move->name);
    err = stop ? 0 : vm_files_send(move, migration_settings()->max_bandwidth, &reason);
    if (err)
        return call_fail(call, err, "%s: cannot send its files after it, %s", move->name, reason);
    move_peer(&move->request, peer);
    json_string(call->out, "vm", move->name);
    json_string(call->out, "peer", peer);
    json_string(call->out, "images", migrate_files_name(move_files(move)));
    return 0;
}

/* --- Contested ------------------------------------------------------------------------------------------------- */

enum { RESOLVE_QUERY, RESOLVE_ABORT, RESOLVE_ADOPT, RESOLVE_FORCE_RESUME, RESOLVE_FORCE_GIVE_UP };
const char *const resolve_actions[] = { "query", "abort", "adopt", "force-resume", "force-give-up", NULL };

/* Is it the copy of a protected guest? */
static bool is_copy(const struct vm *vm)
{
    const struct protection *p = protection_of(vm);

    return p && protection_is_secondary(p);
}

/* Has a part of this prepared copy stayed at its source? */
static bool is_split(const struct vm *vm)
{
    const struct incoming *in = dest_stranded(migration_dest(), vm);

    return in && in->handoff.split;
}

/* Why the action makes no sense for a VM of that status; NULL: it makes sense. */
static const char *resolve_misfit(u64 action, const struct vm *vm, unsigned status)
{
    if (action == RESOLVE_ABORT && status == SHOWN_PREPARED)
        return "its source has the move, and nobody here can abort it";
    if (action == RESOLVE_ABORT && status != SHOWN_IN_DOUBT)
        return "no move is left to abort";
    if (action == RESOLVE_ADOPT && status != SHOWN_PREPARED)
        return "only a prepared copy, which came from elsewhere, can be adopted";
    if (action == RESOLVE_ADOPT && is_copy(vm))
        return "it is the copy of a protected guest, which failover with its epoch lets run";
    if (action == RESOLVE_ADOPT && is_split(vm))
        return "pages of it are at its source alone (post-copy)";
    if (action == RESOLVE_FORCE_GIVE_UP && status == SHOWN_ELSEWHERE)
        return "there is no copy here to give up";
    if (action == RESOLVE_FORCE_RESUME && status == SHOWN_PREPARED)
        return "it has never run here";
    return NULL;
}

/* The actions of resolve that make sense for a VM of that status. */
static const char *resolve_choices(const struct vm *vm, unsigned status)
{
    switch (status) {
    case SHOWN_IN_DOUBT: return "abort, force-resume or force-give-up";
    case SHOWN_SERVING:
    case SHOWN_SUPERSEDED: return "force-resume or force-give-up";
    case SHOWN_PREPARED:
        if (is_copy(vm))
            return "force-give-up, or the command failover";
        return is_split(vm) ? "force-give-up" : "adopt or force-give-up";
    default: return "force-resume, or the command forget";
    }
}

static int resolve_act(struct vm *vm, u64 action, unsigned status)
{
    static const enum resolution resolutions[] = {
        [RESOLVE_ABORT] = RESOLUTION_ABORT,
        [RESOLVE_FORCE_RESUME] = RESOLUTION_FORCE_RESUME,
        [RESOLVE_FORCE_GIVE_UP] = RESOLUTION_FORCE_GIVE_UP,
    };

    return status == SHOWN_PREPARED ? migration_settle(vm, action == RESOLVE_ADOPT)
                                    : migration_resolve(vm, resolutions[action]);
}

/* Start a guest here by force, although another machine has it. */
static int resolve_start(struct call *call, struct vm *vm)
{
    char reason[120];
    int err = asking_force(vm, reason, sizeof(reason));

    return err ? call_fail(call, err == -ENOMEM ? err : -EBUSY, "%s: cannot start, %s", vm->name, reason) : 0;
}

/* Show what the other machine has said, for the person who must decide. */
static void put_other_side(struct json *out, const struct vm *vm, unsigned status)
{
    if (status == SHOWN_SERVING)
        json_string(out, "destination",
                    migration_unknown(vm) ? "knows of no such guest: what it has done there is lost; force-resume lets "
                                            "it go on from where it was handed over"
                                          : "runs it, and needs the memory that is here: force is for a destination "
                                            "that never comes back");
    if (status == SHOWN_IN_DOUBT)
        json_string(out, "destination",
                    migration_unknown(vm) ? "knows of no such move: only force is left" : "has not answered yet");
    if (status == SHOWN_ELSEWHERE || status == SHOWN_SUPERSEDED)
        json_string(out, "owner", vm->reason);
    if (status == SHOWN_PREPARED)
        json_string(out, "source",
                    is_copy(vm) ? "is silent, and no witness has said who has it: failover by force only if it does "
                                  "not run there, and never will"
                    : is_split(vm)
                        ? "has not said COMMIT, and has pages that are not here: the guest can't run here "
                          "without it"
                        : "has not said COMMIT: adopt the guest only if it does not run there, and never will");
}

int command_resolve(struct call *call)
{
    struct vm *vm = call->arg[0].vm;
    u64 action = call->arg[1].number, epoch = 0;
    unsigned status = shown_status(vm);
    const char *misfit = resolve_misfit(action, vm, status);

    if (status == SHOWN_PREPARED)
        migration_stranded(vm, &epoch);
    else if (status == SHOWN_ELSEWHERE)
        epoch = vm->elsewhere;
    else
        migration_contested(vm, &epoch);
    if (misfit)
        return call_fail(call, -EBUSY, "%s: cannot %s, it is %s: %s, expected %s", vm->name, resolve_actions[action],
                         shown_name(status), misfit, resolve_choices(vm, status));
    if (action >= RESOLVE_ADOPT && (!call->arg[2].given || call->arg[2].number != epoch))
        return call_fail(call, -EINVAL,
                         "%s: %s is for who knows what the other machine does, and never undone: repeat the epoch, "
                         "%lu, to confirm",
                         vm->name, resolve_actions[action], (unsigned long)epoch);
    json_string(call->out, "vm", vm->name);
    json_string(call->out, action == RESOLVE_QUERY ? "status" : "was", shown_name(status));
    json_number(call->out, "epoch", epoch);
    put_other_side(call->out, vm, status);
    json_string(call->out, "action", resolve_actions[action]);
    if (action == RESOLVE_FORCE_RESUME && status == SHOWN_ELSEWHERE)
        return resolve_start(call, vm);
    if (action == RESOLVE_QUERY || !resolve_act(vm, action, status))
        return 0; /* vm may be gone */
    return call_fail(call, -EBUSY, "%s: cannot %s, it is not %s any more", vm->name, resolve_actions[action],
                     shown_name(status));
}

/* --- Settings -------------------------------------------------------------------------------------------------- */

_Static_assert(MIGRATE_ROUNDS == 64, "the most that config/config_keys.c allows for max-rounds");
_Static_assert((int)CONFIG_STALL_STOP == (int)POLICY_STALL_STOP && (int)CONFIG_STALL_ABORT == (int)POLICY_STALL_ABORT &&
                   (int)CONFIG_STALL_THROTTLE == (int)POLICY_STALL_THROTTLE &&
                   (int)CONFIG_STALL_POSTCOPY == (int)POLICY_STALL_POSTCOPY &&
                   (int)CONFIG_STALL_WRITERS == (int)POLICY_STALL_WRITERS,
               "settings go to the policy as they are");
_Static_assert((int)CONFIG_DIRTY_OFF == (int)DIRTY_OFF && (int)CONFIG_DIRTY_PML == (int)DIRTY_PML &&
                   (int)CONFIG_DIRTY_EAGER == (int)DIRTY_SPLIT_EAGER,
               "and to the dirty log");

int command_query_migrate_parameters(struct call *call)
{
    for (size_t i = 0; i < move_section.count; i++) {
        const struct key *key = &move_section.keys[i];
        const void *value = (const u8 *)migration_settings() + key->offset;

        if (key->kind == VALUE_CHOICE)
            json_string(call->out, key->name, key->choices[*(const u32 *)value]);
        else
            json_number(call->out, key->name, key->kind == VALUE_BYTES ? *(const u64 *)value : *(const u32 *)value);
    }
    return 0;
}

int command_migrate_set_parameters(struct call *call)
{
    struct config_error error;

    if (!config_migration_set(migration_settings(), call->arg[0].text, call->arg[1].text, &error))
        return call_fail(call, -EINVAL, "%s: %s", error.key, error.message);
    migration_limits_changed();
    return command_query_migrate_parameters(call);
}

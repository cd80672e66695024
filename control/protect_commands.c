/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about protection, and what is shown of it. docs/failover.md explains each word. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/command.h"
#include "control/commands.h"
#include "control/json.h"
#include "control/status.h"
#include "dev/platform.h"
#include "host/clock.h"
#include "hv/vm.h"
#include "migrate/migration.h"
#include "net/output.h"
#include "protect/failovers.h"
#include "protect/protection.h"

/* What the guest's protection is now, for who has just asked for a change of it. */
static void put_state(struct json *out, const struct vm *vm)
{
    json_string(out, "vm", vm->name);
    json_string(out, "protection", protection_state_name(protection_state(vm)));
}

int command_protect(struct call *call)
{
    struct vm *vm = call->arg[0].vm;
    struct tcp_address peer;
    const char *reason = "";
    int err;

    if (tcp_address_parse(call->arg[1].text, CONFIG_MIGRATION_PORT, &peer) || peer.ip6)
        return call_fail(call, -EINVAL,
                         "peer: '%.60s' is wrong, expected another machine's IPv4 address, such as 192.0.2.11 or "
                         "192.0.2.11:4900",
                         call->arg[1].text);
    err = protection_want(vm, &peer, (u32)call->arg[2].number, &reason);
    if (err)
        return call_fail(call, err == -ENOMEM ? err : -EBUSY, "%s: cannot protect it, %s", vm->name, reason);
    put_state(call->out, vm);
    return 0;
}

/* An operator decides what the other machine does: the epoch must be the one that is shown. */
static int force(struct call *call, struct vm *vm, u64 epoch)
{
    u64 known = protection_force_epoch(vm);
    const char *reason = "";

    if (!known)
        return call_fail(call, -EBUSY, "%s: there is nothing to force, it is %s", vm->name,
                         protection_state_name(protection_state(vm)));
    if (epoch != known)
        return call_fail(call, -EINVAL,
                         "%s: force is for who knows that the other machine does not run it, and never undone: repeat "
                         "the epoch, %lu, to confirm",
                         vm->name, (unsigned long)known);
    if (protection_force(vm, &reason))
        return call_fail(call, -EBUSY, "%s: there is nothing to force, %s", vm->name, reason);
    json_string(call->out, "vm", call->arg[0].vm->name);
    return 0;
}

int command_unprotect(struct call *call)
{
    struct vm *vm = call->arg[0].vm;
    const struct protection *p = protection_of(vm);
    u64 epoch;
    int err;

    if (p && protection_is_secondary(p))
        return call_fail(call, -EBUSY,
                         "%s: this machine has its copy, expected unprotect at the one that runs it; see resolve",
                         vm->name);
    if (call->arg[1].given && protection_force_epoch(vm)) {
        err = force(call, vm, call->arg[1].number);
        if (!err)
            protection_end(vm);
        return err;
    }
    err = protection_end(vm);
    if (err == -ENOENT && migration_contested(vm, &epoch) == SOURCE_SUPERSEDED)
        return call_fail(call, -EBUSY, "%s: it is superseded, expected resolve", vm->name);
    if (err)
        return call_fail(call, -EBUSY, "%s: it is %s", vm->name,
                         err == -ENOENT ? "not protected" : "just handed to the other machine, expected it there soon");
    put_state(call->out, vm);
    return 0;
}

int command_failover(struct call *call)
{
    struct vm *vm = call->arg[0].vm;
    const struct protection *p = protection_of(vm);

    if (p && protection_is_secondary(p)) {
        if (!call->arg[1].given)
            return call_fail(call, -EBUSY,
                             "%s: this machine has its copy: expected failover at the one that runs it, or --force %lu "
                             "for who knows that that one is dead",
                             vm->name, (unsigned long)p->guard.epoch);
        return force(call, vm, call->arg[1].number);
    }
    if (call->arg[1].given)
        return call_fail(call, -EBUSY, "%s: force is for the machine that has its copy, expected failover without it",
                         vm->name);
    if (protection_failover(vm))
        return call_fail(call, -EBUSY, "%s: it is %s, expected protected", vm->name,
                         protection_state_name(protection_state(vm)));
    put_state(call->out, vm);
    return 0;
}

/* --- What is shown ------------------------------------------------------------------------------------------------ */

static void put_ms_after(struct json *out, const char *key, u64 time, u64 from)
{
    if (time)
        json_milli(out, key, (time - from) / 1000);
}

/* Times count from when the primary was heard last. */
static void put_failover(struct json *out, const struct failover *failover)
{
    json_object(out, NULL);
    json_number(out, "epoch", failover->epoch);
    json_string(out, "cause", failover_cause_name(failover->cause));
    json_string(out, "outcome",
                failover->lost      ? "the primary kept it"
                : failover->running ? "it went on here"
                                    : "not known yet");
    json_number(out, "checkpoint", failover->checkpoint);
    put_ms_after(out, "silent-ms", failover->noticed, failover->heard);
    put_ms_after(out, "asked-ms", failover->asked, failover->heard);
    put_ms_after(out, "won-ms", failover->won, failover->heard);
    put_ms_after(out, "running-ms", failover->running, failover->heard);
    put_ms_after(out, "age-ms", clock_ns(), failover->heard);
    json_close(out);
}

static void put_failovers(struct json *out, const struct vm *vm)
{
    const struct failover *failover;

    json_array(out, "failovers");
    for (unsigned i = 0; (failover = failovers_get(i)); i++)
        if (!memcmp(failover->vm_id, vm->identity.id, VM_ID))
            put_failover(out, failover);
    json_close(out);
}

static void put_checkpoints(struct json *out, const struct protect_info *info)
{
    json_number(out, "interval", info->interval_ms);
    if (info->source)
        json_milli(out, "effective-interval", info->interval / 1000);
    json_number(out, "checkpoints", info->number);
    if (info->source) {
        json_number(out, "pause-us", info->pause / 1000);
        json_number(out, "pause-max-us", info->pause_max / 1000);
        json_number(out, "total-pages", info->total_pages);
    }
    json_number(out, "put-us", info->put / 1000);
    json_number(out, "pages", info->pages);
    json_number(out, "room-pages", info->room_pages);
}

static void put_held(struct json *out, const struct vm *vm)
{
    struct port_output_stats held;

    port_output_stats(&platform_of(vm)->net.port, &held);
    json_number(out, "held-bytes", held.bytes);
    json_number(out, "held-most-bytes", held.most_bytes);
    json_number(out, "output-waits-us", held.passed ? held.passed_wait / held.passed / 1000 : 0);
}

static void put_guard(struct json *out, const struct protection *p)
{
    json_number(out, "epoch", p->guard.epoch);
    if (p->beating)
        json_number(out, "heard-ms", heartbeat_age(&p->heartbeat) / 1000000);
}

static void put_deed(struct json *out, const struct protection *p)
{
    json_string(out, "deed", p->notary.known ? p->notary.text : "");
    if (p->notary.fault[0])
        json_string(out, "witness", p->notary.fault);
}

static void put_protection(struct json *out, const struct vm *vm)
{
    enum protection_state state = protection_state(vm);
    const struct protection *p = vm_ended(vm) ? NULL : protection_of(vm);
    char peer[TCP_ADDRESS_TEXT];
    struct protect_info info;

    json_object(out, NULL);
    json_string(out, "vm", vm->name);
    json_string(out, "state", protection_state_name(state));
    if (p && state != PROTECTION_NONE) {
        tcp_address_text(&p->peer, peer);
        json_string(out, "role", protection_is_secondary(p) ? "secondary" : "primary");
        json_string(out, "peer", peer);
        json_string(out, "reason", state == PROTECTION_DEGRADED || state == PROTECTION_SUSPENDED ? p->reason : "");
        json_number(out, "tries", p->tries);
    }
    if (p && p->guarded)
        put_guard(out, p);
    if (p && p->guarded && migration_protect_info(vm, &info))
        put_checkpoints(out, &info);
    if (p)
        put_held(out, vm);
    if (p)
        put_deed(out, p);
    put_failovers(out, vm);
    json_close(out);
}

int command_query_protect(struct call *call)
{
    const char *name = call->arg[0].given ? call->arg[0].text : NULL;

    if (name && !vm_find(name))
        return call_fail(call, -ENOENT, "no virtual machine '%.32s'", name);
    json_array(call->out, "protection");
    list_each (const struct vm, vm, vm_list()) {
        if (!name || !strcmp(vm->name, name))
            put_protection(call->out, vm);
    }
    json_close(call->out);
    return 0;
}

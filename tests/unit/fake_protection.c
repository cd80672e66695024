/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_protection.h"

#include <errno.h>

#include "migrate/migration.h"
#include "net/output.h"
#include "protect/failovers.h"

struct fake_protection fake_protection;

static bool is_web(const struct vm *vm)
{
    return !strcmp(vm->name, "web") && fake_protection.there;
}

struct protection *protection_of(const struct vm *vm)
{
    return is_web(vm) ? &fake_protection.protection : NULL;
}

enum protection_state protection_state(const struct vm *vm)
{
    return is_web(vm) ? fake_protection.state : PROTECTION_NONE;
}

const char *protection_state_name(enum protection_state state)
{
    static const char *const names[] = { "unprotected", "syncing", "protected", "degraded", "suspended" };

    return names[state];
}

bool protection_is_secondary(const struct protection *p)
{
    return p->guarded && (p->guard.state == GUARD_STANDBY || p->guard.state == GUARD_ASKING);
}

int protection_want(struct vm *vm, const struct tcp_address *peer, u32 interval, const char **reason)
{
    (void)vm;
    *reason = "it is protected already";
    fake_protection.protection.peer = *peer;
    fake_protection.protection.interval = interval;
    fake_protection.there |= !fake_protection.want;
    return fake_protection.want;
}

int protection_end(struct vm *vm)
{
    fake_protection.ended++;
    return is_web(vm) ? 0 : -ENOENT;
}

int protection_failover(struct vm *vm)
{
    (void)vm;
    return fake_protection.failover;
}

u64 protection_force_epoch(const struct vm *vm)
{
    const struct protection *p = protection_of(vm);

    return p && p->guarded ? p->guard.epoch : fake_protection.deed_epoch;
}

int protection_force(struct vm *vm, const char **reason)
{
    *reason = "its secondary is heard";
    (void)vm;
    fake_protection.forced++;
    return fake_protection.force;
}

bool migration_protect_info(const struct vm *vm, struct protect_info *info)
{
    *info = fake_protection.info;
    return is_web(vm) && fake_protection.linked;
}

u64 heartbeat_age(const struct heartbeat *heartbeat)
{
    (void)heartbeat;
    return 17000000;
}

const struct heartbeat_counters *heartbeat_counters(void)
{
    static const struct heartbeat_counters counters = { .said = 100, .heard = 90, .strange = 2 };

    return &counters;
}

const struct failover *failovers_get(unsigned index)
{
    static const struct failover one = { .vm_id = { 1 },
                                         .epoch = 6,
                                         .heard = 1000000000,
                                         .noticed = 1300400000,
                                         .asked = 1301000000,
                                         .won = 1303000000,
                                         .running = 1304000000,
                                         .checkpoint = 77 };

    return index ? NULL : &one;
}

const char *failover_cause_name(enum failover_cause cause)
{
    return cause ? "planned" : "silence";
}

u64 failovers_count(void)
{
    return 1;
}

bool port_output_stats(const struct port *port, struct port_output_stats *stats)
{
    (void)port;
    *stats = (struct port_output_stats){ .bytes = 1514, .most_bytes = 3000, .passed = 4, .passed_wait = 80000000 };
    return true;
}

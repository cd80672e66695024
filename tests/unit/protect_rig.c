/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/protect_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "host/clock.h"
#include "host/host_work.h"
#include "net/netif.h"
#include "net/output.h"
#include "net/udp_port.h"
#include "owners/announcer.h"
#include "owners/claims.h"
#include "owners/witness_watch.h"
#include "stream/record.h"
#include "stream/tcp_transport.h"

struct protect_rig rig = { .now = 1000 * MS };
const struct tcp_address peer = { .bytes = { 192, 0, 2, 11 }, .port = 4900 };

u64 clock_ns(void)
{
    return rig.now;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

void host_work_add(u64 (*fn)(void))
{
    rig.poll = fn;
}

/* --- The network -------------------------------------------------------------------------------------------------- */

static udp_port_fn *hears;

bool udp_port_open(u16 port, udp_port_fn *hear)
{
    hears = hear;
    return port == 4900;
}

bool udp_port_say(const struct tcp_address *to, const void *bytes, size_t len)
{
    (void)bytes;
    (void)len;
    rig.beats += to->bytes[3] == 11;
    return true;
}

bool netif_port_owns(const u8 *address, bool ip6)
{
    return !ip6 && address[3] == 10;
}

bool tcp_transport_may(const struct tcp_address *to, const char **why)
{
    (void)to;
    *why = "it is no peer";
    return !rig.stranger;
}

u32 netif_port_ip4(void)
{
    return 10u << 24 | 2u << 16 | 192;
}

u64 claims_owner(void)
{
    return ME;
}

void claims_deeded_by(bool (*names_us)(const struct vm *vm))
{
    rig.deeded = names_us;
}

int tcp_address_parse(const char *text, u16 port, struct tcp_address *address)
{
    *address = peer;
    address->port = port;
    return strcmp(text, "192.0.2.11") ? -EINVAL : 0;
}

void rig_beat(void)
{
    static u64 seq;
    struct wire_beat said = { .epoch = E, .owner = OTHER, .seq = ++seq };

    memcpy(said.vm_id, vm.identity.id, WIRE_ID);
    beat_seal(&said);
    hears(&peer, (const u8 *)&said, sizeof(said));
}

void announcer_stop(const struct vm *guest)
{
    (void)guest;
    rig.announces = false;
}

/* --- Output ------------------------------------------------------------------------------------------------------- */

int port_output_reserve(struct port *port)
{
    (void)port;
    assert_false(rig.reserved || rig.holds);
    rig.reserved = !rig.no_room;
    return rig.no_room;
}

void port_output_hold(struct port *port)
{
    (void)port;
    assert_true(rig.reserved);
    rig.holds = true;
    rig.marked = rig.released = 0;
}

void port_output_mark(struct port *port, u64 checkpoint)
{
    (void)port;
    rig.marked = checkpoint;
}

void port_output_release(struct port *port, u64 checkpoint)
{
    (void)port;
    assert_true(rig.holds && checkpoint <= rig.marked && checkpoint >= rig.released);
    rig.released = checkpoint;
}

void port_output_end(struct port *port)
{
    (void)port;
    rig.holds = rig.reserved = false;
}

void port_output_drop(struct port *port)
{
    (void)port;
    rig.dropped += rig.holds;
    rig.holds = rig.reserved = false;
}

bool port_output_stats(const struct port *port, struct port_output_stats *stats)
{
    (void)port;
    *stats = (struct port_output_stats){ .frames = rig.held };
    return rig.holds;
}

/* --- The ends of the stream --------------------------------------------------------------------------------------- */

void migration_protect_watch(const struct protect_watcher *w)
{
    rig.watcher = w;
}

/* An end that is over says so at once, as the real one does. */
int migration_protect(struct vm *copy, enum protect_order order, u64 epoch)
{
    (void)epoch;
    if (!rig.has_end)
        return -ENOENT;
    if (order == PROTECT_PAUSE && rig.resets)
        return -EAGAIN;
    rig.ordered |= BIT(order);
    if (order == PROTECT_ALONE || order == PROTECT_STAND) {
        rig.has_end = rig.active = false;
        vm.status = order == PROTECT_STAND ? VM_PAUSED : VM_RUNNING;
        rig.watcher->source(copy, PROTECT_OVER, WIRE_E_LINK);
    } else if (order == PROTECT_ADOPT && rig.puts) {
        return 0;
    } else if (order == PROTECT_ADOPT || order == PROTECT_FREE || order == PROTECT_FORGET) {
        rig.has_end = false;
        vm.status = VM_RUNNING;
        vm.identity.epoch = E;
        rig.watcher->dest(copy, PROTECT_OVER, order == PROTECT_ADOPT ? WIRE_OK : WIRE_E_CANCEL);
    }
    return 0;
}

bool migration_protect_info(const struct vm *copy, struct protect_info *to)
{
    (void)copy;
    *to = rig.info;
    return rig.has_end;
}

int migration_start(struct vm *guest, const struct migration_request *request, const char **reason)
{
    (void)guest;
    (void)reason;
    assert_true(request->protect && request->mode == MODE_LIVE && request->to.bytes[3] == 11);
    assert_true(rig.reserved && !rig.holds);
    rig.starts++;
    rig.quiet = request->quiet;
    rig.move.request = *request;
    if (rig.unable)
        return -EBUSY;
    if (rig.refuses) {
        rig.watcher->source(guest, PROTECT_OVER, WIRE_E_LINK);
        return 0;
    }
    rig.active = rig.has_end = true;
    rig.info = (struct protect_info){ .source = true, .epoch = E, .other = OTHER, .linked = true };
    rig.info.limit_ms = rig.limit_ms;
    return 0;
}

int migration_cancel(struct vm *guest)
{
    rig.active = rig.has_end = false;
    rig.cancelled = true;
    rig.watcher->source(guest, PROTECT_OVER, WIRE_E_CANCEL);
    return 0;
}

int migration_resolve(struct vm *guest, enum resolution resolution)
{
    (void)guest;
    rig.given_up += resolution == RESOLUTION_FORCE_GIVE_UP;
    return rig.doubt ? 0 : -ENOENT;
}

bool migration_heard(const struct wire_claim *claim)
{
    assert_memory_equal(claim->vm_id, vm.identity.id, WIRE_ID);
    assert_int_equal(claim->owner, OTHER);
    assert_true(claim->kind == WIRE_CLAIM_OWNS && claim->ip4[3] == 11);
    assert_true(claim->age_ms == WIRE_AGE_DEED && claim->rival == ME); /* so it prevails, whoever judges */
    rig.claimed = claim->epoch;
    return true;
}

bool migration_active(const struct vm *guest)
{
    (void)guest;
    return rig.active;
}

bool migration_owns(const struct vm *guest)
{
    return guest->status == VM_RUNNING;
}

enum source_state migration_contested(const struct vm *guest, u64 *epoch)
{
    (void)guest;
    (void)epoch;
    return rig.ordered & BIT(PROTECT_STAND) ? SOURCE_SUPERSEDED : SOURCE_OWNER;
}

struct move *moves_find(const char *name)
{
    return strcmp(name, "web") ? NULL : &rig.move;
}

const struct migrate_stats *move_stats(const struct move *which)
{
    return &which->stats;
}

struct config_migration *migration_settings(void)
{
    static struct config_migration settings = { .port = 4900, .heartbeat_limit = 300 };

    return &settings;
}

/* --- The witness -------------------------------------------------------------------------------------------------- */

/* What leaves this machine leaves at once, and is done; the answer comes later. */
static struct witness_outcome outcome, result;
static u64 asked_ns;

bool witness_configured(void)
{
    return rig.witness;
}

struct witness_request *witness_open(void)
{
    return (struct witness_request *)&outcome;
}

void witness_close(struct witness_request *request)
{
    (void)request;
}

void witness_key(const u8 id[VM_ID], char key[ETCD_KEY])
{
    snprintf(key, ETCD_KEY, "godwit/vm/%02x", id[0]);
}

static void answer(enum witness_result what)
{
    result = outcome;
    result.result = what;
    result.present = rig.deed[0];
    snprintf(result.value, ETCD_VALUE, "%s", rig.deed);
    asked_ns = rig.now;
}

void witness_read(struct witness_request *request, const char *key)
{
    (void)request;
    (void)key;
    outcome = (struct witness_outcome){ .result = WITNESS_ASKED, .reason = "nobody answers" };
    answer(rig.reachable ? WITNESS_READ : WITNESS_UNREACHABLE);
}

void witness_swap(struct witness_request *request, const char *key, const char *expected, const char *value)
{
    bool right = expected ? !strcmp(expected, rig.deed) : !rig.deed[0];

    (void)request;
    (void)key;
    rig.swaps++;
    outcome = (struct witness_outcome){ .result = WITNESS_ASKED, .reason = "nobody answers" };
    outcome.sent = rig.reachable || rig.late;
    if ((rig.reachable || rig.late) && right)
        snprintf(rig.deed, sizeof(rig.deed), "%s", value);
    answer(!rig.reachable || rig.late          ? WITNESS_UNREACHABLE
           : right || !strcmp(value, rig.deed) ? WITNESS_SWAPPED
                                               : WITNESS_DIFFERENT);
}

const struct witness_outcome *witness_outcome(const struct witness_request *request)
{
    (void)request;
    return rig.now == asked_ns ? &outcome : &result;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table of addresses, in which the one that was seen longest ago gives way. Time is shared out by a debt: work of t
 * may put off the next work by a multiple of t, but what was not used in the last seconds is credit. A bucket
 * (net/bucket.h) would have to know what a piece of work costs before it is done.
 *
 * Time is the clock's: where Godwit runs under a hypervisor or in an emulator, a piece of work may seem to take seconds
 * because the processor was somewhere else. So no piece takes more than half of the credit, and a caller who comes when
 * nobody has come for a while can always have three.
 */
#include "net/callers.h"

#include "host/bits.h"
#include "host/clock.h"
#include "host/panic.h"

#define CALLERS 128
#define KNOWN_MAX 64 /* of these */
#define KINDS 2      /* strangers, known hosts */

struct caller {
    struct tcp_address address; /* port 0 */
    bool used, known, named;
    unsigned places; /* that it has */
    u64 turn;        /* when it had its last one, in turns */
    u64 seen;        /* ns */
};

/* What the callers of a kind may have. */
static const struct terms {
    unsigned places, places_each; /* of one address */
    u64 share;                    /* one part in so many of the processor's time */
    u64 credit;                   /* ns of it, at most */
} terms[KINDS] = {
    { .places = 16, .places_each = 8, .share = 10, .credit = NS_PER_S / 2 },
    { .places = 64, .places_each = 32, .share = 2, .credit = 2 * NS_PER_S },
};

static struct caller callers[CALLERS];
static s64 paid[KINDS] = { -10LL * NS_PER_S, -10LL * NS_PER_S }; /* ns: until then a kind has used its share */
static u64 turns;

/* An address as the table has it. */
static struct tcp_address entry_of(const struct tcp_address *address, bool known)
{
    struct tcp_address entry = { .ip6 = address->ip6 };

    memcpy(entry.bytes, address->bytes, !address->ip6 ? 4 : known ? 16 : 8);
    return entry;
}

static struct caller *find(const struct tcp_address *address, bool known)
{
    const struct tcp_address entry = entry_of(address, known);

    for (unsigned i = 0; i < CALLERS; i++)
        if (callers[i].used && callers[i].known == known && tcp_address_equal(&callers[i].address, &entry))
            return &callers[i];
    return NULL;
}

/* Whose entry can be had for another: of the callers of this kind the one that was seen longest ago, but an empty entry
 * rather than a stranger's. NULL: none. */
static struct caller *oldest(bool known)
{
    struct caller *oldest = NULL;

    for (unsigned i = 0; i < CALLERS; i++) {
        struct caller *caller = &callers[i];

        if (!caller->used && !known)
            return caller;
        if (caller->used && caller->known == known && !caller->named && !caller->places &&
            (!oldest || caller->seen < oldest->seen))
            oldest = caller;
    }
    return oldest;
}

bool caller_is_known(const struct tcp_address *address)
{
    return find(address, true);
}

static bool is_room_for_known(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < CALLERS; i++)
        count += callers[i].used && callers[i].known;
    return count < KNOWN_MAX;
}

void caller_know(const struct tcp_address *address, bool named, u64 now)
{
    struct caller *caller = find(address, true);

    if (!caller) {
        caller = oldest(!is_room_for_known());
        if (!caller)
            return;
        *caller = (struct caller){ .used = true, .known = true, .address = entry_of(address, true) };
    }
    caller->named |= named;
    caller->seen = now;
}

struct caller *caller_enter(const struct tcp_address *address, u64 now)
{
    struct caller *caller = find(address, true);

    if (!caller)
        caller = find(address, false);
    if (!caller) {
        caller = oldest(false);
        assert(caller); /* there are more entries for strangers than places */
        *caller = (struct caller){ .used = true, .address = entry_of(address, false) };
    }
    if (!caller->places)
        caller->turn = ++turns;
    caller->places++;
    caller->seen = now;
    return caller;
}

void caller_leave(struct caller *caller)
{
    caller->places--;
}

struct caller *caller_crowding(struct caller *newcomer)
{
    const struct terms *has = &terms[newcomer->known];
    struct caller *most = newcomer;
    unsigned total = 0, had = newcomer->places - 1;

    if (newcomer->places > has->places_each)
        return newcomer;
    for (unsigned i = 0; i < CALLERS; i++) {
        struct caller *caller = &callers[i];

        if (!caller->places || caller->known != newcomer->known)
            continue;
        total += caller->places;
        if (caller != newcomer && (caller->places > had || (caller->places == had && caller->seen < most->seen))) {
            most = caller;
            had = caller->places;
        }
    }
    return total > has->places ? most : NULL;
}

bool caller_may_work(const struct caller *caller, u64 now)
{
    return paid[caller->known] <= (s64)now;
}

bool caller_is_before(const struct caller *a, const struct caller *b)
{
    return a->known != b->known ? a->known : a->turn < b->turn;
}

void caller_worked(struct caller *caller, u64 ns, u64 now)
{
    const struct terms *has = &terms[caller->known];
    s64 *until = &paid[caller->known];

    caller->turn = ++turns;
    ns = MIN(ns, has->credit / 2);
    *until = MAX(*until, (s64)now - (s64)(has->credit * has->share)) + (s64)(ns * has->share);
}

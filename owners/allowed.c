/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "claims"
#include "owners/allowed.h"

#include <stdio.h>
#include <string.h>

#include "host/log.h"
#include "hv/vm.h"
#include "owners/claims.h"

/* A guest here with this vm_id that the peer may not bring; NULL: there is none. */
static const struct vm *other_of(const struct rights *peer, const u8 vm_id[WIRE_ID])
{
    list_each (const struct vm, vm, vm_list()) {
        if (!memcmp(vm->identity.id, vm_id, WIRE_ID) && !rights_allow(peer, vm->name))
            return vm;
    }
    return NULL;
}

/* A guest here that a claim is about and that the peer may not bring; NULL: there is none. */
static const struct vm *other_claimed(const struct rights *peer, const struct wire_claim *claim)
{
    list_each (const struct vm, vm, vm_list()) {
        if (claims_are_of(claim, vm) && !rights_allow(peer, vm->name))
            return vm;
    }
    return NULL;
}

bool allowed_guest(const char *peer, const u8 vm_id[WIRE_ID], const char *name, u64 bytes, unsigned moves,
                   char words[RIGHTS_WORDS])
{
    const struct rights *rights = rights_of_peer(peer);
    const struct vm *other = other_of(rights, vm_id);

    if (other)
        snprintf(words, RIGHTS_WORDS, "it is %s here, which %s may not bring: see allow", other->name, rights->name);
    return !other && rights_judge(peer, name, bytes, moves, words);
}

unsigned allowed_answer(const char *peer, const struct wire_claim *question, struct wire_claim answers[WIRE_ANSWERS])
{
    return claims_answer(question, !other_claimed(rights_of_peer(peer), question), answers);
}

void allowed_take(const struct wire_claim *claim, const char *where)
{
    const struct vm *other = other_claimed(rights_of_host(where), claim);

    if (other)
        pr_warn("%s says that it has %s, which it may not bring here: see allow", where, other->name);
    else
        claims_take(claim, where);
}

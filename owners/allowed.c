/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "claims"
#include "owners/allowed.h"

#include <stdio.h>
#include <string.h>

#include "host/log.h"
#include "hv/vm.h"
#include "owners/claims.h"

/* A guest here that has this vm_id, or that the claim (NULL: there is none) is about, and that the peer may not bring;
 * NULL: there is none. */
static const struct vm *other_of(const struct rights *peer, const u8 vm_id[WIRE_ID], const struct wire_claim *claim)
{
    list_each (const struct vm, vm, vm_list()) {
        bool meant = !memcmp(vm->identity.id, vm_id, WIRE_ID) || (claim && claims_are_of(claim, vm));

        if (meant && !rights_allow(peer, vm->name))
            return vm;
    }
    return NULL;
}

bool allowed_guest(const char *peer, const u8 vm_id[WIRE_ID], const char *name, u64 bytes, unsigned moves,
                   char words[RIGHTS_WORDS])
{
    const struct rights *rights = rights_of_peer(peer);
    const struct vm *other = other_of(rights, vm_id, NULL);

    if (other)
        snprintf(words, RIGHTS_WORDS, "it is %s here, which %s may not bring: see allow", other->name, rights->name);
    return !other && rights_judge(peer, name, bytes, moves, words);
}

unsigned allowed_answer(const char *peer, const struct wire_claim *question, struct wire_claim answers[WIRE_ANSWERS])
{
    const struct vm *other = other_of(rights_of_peer(peer), question->vm_id, question);

    return claims_answer(question, !other, answers);
}

void allowed_take(const struct wire_claim *claim, const char *where)
{
    const struct vm *other = other_of(rights_of_host(where), claim->vm_id, claim);

    if (other)
        pr_warn("%s says that it has %s, which it may not bring here: see allow", where, other->name);
    else
        claims_take(claim, where);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "protect"
#include "protect/protected.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/log.h"

struct list protections = { &protections, &protections };

struct protection *protection_of(const struct vm *vm)
{
    list_each (struct protection, p, &protections) {
        if (!memcmp(p->vm_id, vm->identity.id, VM_ID))
            return p;
    }
    return NULL;
}

struct protection *protection_make(const struct vm *vm)
{
    struct protection *p = protection_of(vm);

    if (p)
        return p;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    memcpy(p->vm_id, vm->identity.id, sizeof(p->vm_id));
    notary_init(&p->notary, p->vm_id);
    list_add_tail(&protections, &p->node);
    return p;
}

void protection_failed(struct protection *p, const struct vm *vm, const char *reason)
{
    snprintf(p->reason, sizeof(p->reason), "%s", reason);
    if (p->tries > 1 && !strcmp(p->failed, p->reason))
        return;
    memcpy(p->failed, p->reason, sizeof(p->failed));
    pr_warn("%s: not protected, try %lu: %s", vm->name, p->tries, reason);
}

void protection_free(struct protection *p)
{
    notary_fini(&p->notary);
    list_del(&p->node);
    free(p);
}

bool protection_is_secondary(const struct protection *p)
{
    return p->guarded && (p->guard.state == GUARD_STANDBY || p->guard.state == GUARD_ASKING);
}

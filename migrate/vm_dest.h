/* SPDX-License-Identifier: BSD-2-Clause */
/* The receiving end with real VMs: the ops that dest.h needs, for this machine. Host loop. */
#pragma once

#include "migrate/dest.h"

struct vm;

/* What migration.c is told of a guest that comes here. */
struct vm_dest_watcher {
    void (*returns)(const struct vm *vm); /* the guest is about to live here, maybe again */
    /* The guest is here now, and has stood for so many ns. */
    void (*arrived)(struct vm *vm, u64 stood);
};

/* Say who is told of guests that come. Boot, once. */
void vm_dest_watch(const struct vm_dest_watcher *migration);

/* The receiving end of this machine. */
extern struct dest vm_dest;

/* The ops of migrate/dest.h; their `vm` is a struct vm, their `ctx` is not used. */
extern const struct migrate_dest_ops vm_dest_ops;

/* SPDX-License-Identifier: BSD-2-Clause */
/* The receiving end with real VMs: what dest.h needs of this machine. Host loop. */
#pragma once

#include "migrate/dest.h"

struct vm;

/* What migration.c is told of a guest that comes. */
struct vm_dest_watcher {
    void (*returns)(const struct vm *vm); /* it is about to live here, maybe again */
    void (*arrived)(const struct vm *vm); /* it runs here now */
};

/* Boot, once. */
void vm_dest_watch(const struct vm_dest_watcher *migration);

/* The ops of migrate/dest.h; their `vm` is a struct vm, their `ctx` is not used. */
extern const struct migrate_dest_ops vm_dest_ops;

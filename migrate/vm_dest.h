/* SPDX-License-Identifier: BSD-2-Clause */
/* The receiving end with real VMs: what dest.h needs of this machine. Host loop. */
#pragma once

#include "migrate/migration.h"

/* A guest has come and runs here: for the totals of migration.c. */
void migration_arrived(void);

/* A guest runs here now: those of its name or identity that have ended are forgotten. */
void migration_make_way(const struct vm *vm);

/* This guest is about to live here again: if it has just left, frames for it are no longer sent on. */
void migration_returns(const struct vm *vm);

/* The ops of migrate/dest.h; their `vm` is a struct vm, their `ctx` is not used. */
extern const struct migrate_dest_ops vm_dest_ops;

/* SPDX-License-Identifier: BSD-2-Clause */
/* Orders to the end of a protected guest that is here, and how it stands (protect.h). Host loop. */
#pragma once

#include "migrate/protect.h"

struct vm;

/* Do what is ordered to the end that this VM is. `epoch`: of PROTECT_STAND. Returns 0; -ENOENT: it is no such end, or
 * not so far; -EBUSY: it is too early or too late for that; or -EAGAIN: the guest does not stand yet, as it is being
 * reset. */
int migration_protect(struct vm *vm, enum protect_order order, u64 epoch);

/* How the end stands. Returns false if this VM is none. */
bool migration_protect_info(const struct vm *vm, struct protect_info *info);

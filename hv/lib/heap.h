/* SPDX-License-Identifier: BSD-2-Clause */
/* How much of the hypervisor's heap is in use. The heap itself is newlib's malloc over the pages of newlib.c. */
#pragma once

#include "hv/lib/types.h"

/*
 * Bytes that malloc has given out and not got back, its own bookkeeping of them included. Takes malloc's lock and walks
 * the list of free pieces: for commands, not for exits.
 */
u64 heap_used(void);

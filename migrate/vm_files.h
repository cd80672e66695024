/* SPDX-License-Identifier: BSD-2-Clause */
/* The files from which a guest starts that has moved away: sent after it when an operator asks for that. Host loop. */
#pragma once

#include "host/types.h"

struct move;

/* Send what the guest of this move starts from to where it went, as far as it is not there, max_bandwidth bytes a
 * second at most (0: any): query-migrate shows how that goes. Returns 0; or, with a constant text in *reason: -EBUSY
 * (the move is not one that has brought the guest there, or is not over) or -ENOMEM. If only the end of the move is
 * still to be said, they follow after that: vm_files_due. */
int vm_files_send(struct move *move, u64 max_bandwidth, const char **reason);

/* The end of the move is said: send its files, if they are wanted. */
void vm_files_due(struct move *move, u64 max_bandwidth);

/* End that. Returns 0, or -ENOENT: they are not on their way. */
int vm_files_stop(struct move *move);

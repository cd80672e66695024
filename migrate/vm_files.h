/* SPDX-License-Identifier: BSD-2-Clause */
/* The files from which a guest starts that has moved away: sent after it when an operator asks for that. Host loop. */
#pragma once

struct move;

/* Send what the guest of this move starts from to where it went, as far as it is not there: query-migrate shows how
 * that goes. Returns 0; or, with a constant text in *reason: -EBUSY (the move is not one that has brought the guest
 * there, or is not over) or -ENOMEM. */
int vm_files_send(struct move *move, const char **reason);

/* End that. Returns 0, or -ENOENT: they are not on their way. */
int vm_files_stop(const struct move *move);

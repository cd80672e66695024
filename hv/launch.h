/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests that the configuration names: made at boot, watched until the last has ended. */
#pragma once

struct handoff;

/*
 * Create, load and start every [vm] of the configuration; one that can't be is logged with its reason and counts as
 * failed, the others go on. `handoff` stays valid. Boot processor.
 */
void launch_guests(const struct handoff *handoff);

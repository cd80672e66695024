/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests that the configuration names: made at boot, watched until the last has ended. */
#pragma once

struct boot_info;

/*
 * Create, load and start every [vm] of the configuration, as its autostart has it; one that can't be is logged with its
 * reason and counts as failed, the others go on. `boot_info` stays valid. Boot processor.
 */
void launch_guests(const struct boot_info *boot_info);

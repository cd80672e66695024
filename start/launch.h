/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts the guests that the configuration names: they are made at boot, and watched until the last one has ended. */
#pragma once

struct boot_info;

/*
 * Create, load and start every [vm] of the configuration, as its autostart says. A guest with which that fails is
 * logged with the reason and counts as failed; the others go on. `boot_info` stays valid. Boot processor.
 */
void launch_guests(const struct boot_info *boot_info);

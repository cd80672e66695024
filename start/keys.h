/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of this hypervisor, from the file that [keys] of the configuration names. */
#pragma once

struct boot_info;

/* Read the file, wipe it out of memory, and forget that it was there. A machine that was told to use keys does not go
 * on without them: it ends. Boot, once, before the
 * loader's memory is taken over. */
void keys_read(struct boot_info *boot_info);

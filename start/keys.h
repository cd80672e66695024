/* SPDX-License-Identifier: BSD-2-Clause */
/* The files that say whom this hypervisor trusts, and by what it is known: the keyring of [keys]; of [api] the
 * certificate with its key, and the tokens; of [witness] the CA. */
#pragma once

struct boot_info;

/* Read these files, wipe them out of memory, and forget that they were there; choose the code of the cipher, if there
 * is something to encrypt. A machine that was told to use keys does not go on without them: it ends. Boot, once, before
 * the loader's memory is taken over. */
void keys_read(struct boot_info *boot_info);

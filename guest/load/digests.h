/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does a guest start from the files that it should start from? The SHA-256 of its kernel and of its initrd must be the
 * ones that the guest's own configuration names, if it names any, and those that the section [vm] of its name in
 * godwit.cfg names, wherever the guest comes from. Host loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "host/types.h"

struct boot_info;
struct guest_image;

/* Once, before the others: read the files for which godwit.cfg names a SHA-256. `boot_info` stays valid. Boot
 * processor. */
void digests_init(const struct boot_info *boot_info);

/* The SHA-256 of a file that is here, by its contents' place; NULL: it is not here, or data is NULL. For a further
 * file of the boot volume it is computed when it is wanted for the first time. */
const u8 *digest_of(const void *data);

/* Does godwit.cfg let the guest of this name have, as its kernel (index 0) or its initrd (1), a file of this SHA-256,
 * or none (sha256 NULL)? False, with the reason in words, and both SHA-256 in the log. */
bool digest_fits(const char *guest, unsigned index, const u8 *sha256, char *reason, size_t room);

/* Do both files of an image, which are here, fit, by the image's own wishes, too? */
bool digests_fit(const char *guest, const struct guest_image *image, char *reason, size_t room);

/* Can both files of an image fit that are known by size and digest only? No, if the one that godwit.cfg names is on the
 * boot volume or is kept here with any guest, and is another. If they come behind a guest that runs already (`follow`),
 * also if it is not there: they would be judged too late. */
bool digests_may_fit(const char *guest, const struct guest_image *image, bool follow, char *reason, size_t room);

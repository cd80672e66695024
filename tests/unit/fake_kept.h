/* SPDX-License-Identifier: BSD-2-Clause */
/* guest/load/kept.h over malloc, for programs on this machine. */
#pragma once

#include "guest/load/kept.h"

/* How many files are kept in whole; how many in part; and how many holds there are. */
unsigned fake_kept_whole(void);
unsigned fake_kept_part(void);
unsigned fake_kept_holds(void);

/* What digest_fits (guest/load/digests.h) wants of a kernel (0) or an initrd (1); NULL: anything. */
void fake_kept_expect(unsigned index, const u8 sha256[CONFIG_SHA256]);

/* Nothing is kept, or wanted, any more; with `full` there is no memory for another file. */
void fake_kept_init(bool full);

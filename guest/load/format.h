/* SPDX-License-Identifier: BSD-2-Clause */
/* The kind of a file that was given as a kernel, told from its first bytes. */
#pragma once

#include "host/types.h"

/* NULL if the file is a bzImage or an ELF file, even a broken one; else what it is and what would be right. Pure. */
const char *format_complaint(const u8 *file, u64 size);

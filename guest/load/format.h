/* SPDX-License-Identifier: BSD-2-Clause */
/* What a file is that was given as a kernel, by its first bytes. */
#pragma once

#include "host/types.h"

/* NULL if it is a bzImage or an ELF file, however broken; else what it is and what would be right. Pure. */
const char *format_complaint(const u8 *file, u64 size);

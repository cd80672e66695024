/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC32C (Castagnoli; RFC 3720 appendix B.4), which protects every record and page of a migration stream. */
#pragma once

#include "host/types.h"

/* Continue the CRC `crc` (0 to begin) over len bytes, by the way that is faster here. Host loop. */
u32 crc32c(u32 crc, const void *bytes, size_t len);

/* Both ways, for tests: by folding, and by SSE4.2's instruction, which only a processor that has it executes. */
u32 crc32c_folding(u32 crc, const void *bytes, size_t len);
bool crc32c_has_instruction(void);
u32 crc32c_instruction(u32 crc, const void *bytes, size_t len);

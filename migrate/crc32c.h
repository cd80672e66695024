/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC32C (Castagnoli; RFC 3720 appendix B.4): of every section and page of a migration stream. */
#pragma once

#include "hv/lib/types.h"

/* Go on with `crc` (0 to begin) over len bytes. The processor's CRC32 instruction if it has it: general registers only.
 * Any CPU. */
u32 crc32c(u32 crc, const void *bytes, size_t len);

/* The same by table, for processors without SSE4.2 and for tests. */
u32 crc32c_table(u32 crc, const void *bytes, size_t len);

/* SPDX-License-Identifier: BSD-2-Clause */
/* What all fuzzers have in common: the entry, what must hold, and the input taken a piece at a time. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "host/types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define REQUIRE(condition) \
    do {                   \
        if (!(condition))  \
            abort();       \
    } while (0)

/* What is left of an input; beyond its end are zeros. */
struct fuzz {
    const u8 *data;
    size_t size;
};

static inline u8 fuzz_u8(struct fuzz *fuzz)
{
    if (!fuzz->size)
        return 0;
    fuzz->size--;
    return *fuzz->data++;
}

/* `bytes` of them, little-endian. */
static inline u64 fuzz_number(struct fuzz *fuzz, unsigned bytes)
{
    u64 value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (u64)fuzz_u8(fuzz) << 8 * i;
    return value;
}

static inline void fuzz_bytes(struct fuzz *fuzz, void *to, size_t len)
{
    size_t n = MIN(len, fuzz->size);

    memset((u8 *)to + n, 0, len - n);
    memcpy(to, fuzz->data, n);
    fuzz->data += n;
    fuzz->size -= n;
}

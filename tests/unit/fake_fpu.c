/* SPDX-License-Identifier: BSD-2-Clause */
/* A program has vector registers of its own. */
#include <assert.h>

#include "host/fpu.h"

static bool inside;

bool fpu_has_avx(void)
{
    return __builtin_cpu_supports("avx2");
}

void fpu_begin(void)
{
    assert(!inside);
    inside = true;
}

void fpu_end(void)
{
    assert(inside);
    inside = false;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The instructions that touch vector state, in assembly: C is compiled for general registers only. */
#pragma once

#include "hv/lib/types.h"

/* Area of FXSAVE or, with the components of `mask` (XCR0 bits), of XSAVE: 64-byte aligned. */
void vector_fxload(const void *area);
void vector_fxstore(void *area);
void vector_xload(const void *area, u64 mask);
void vector_xstore(void *area, u64 mask);

/* One instruction each, for the faults they may give. */
void vector_x87(u64 unused);
void vector_sse(u64 unused);
void vector_avx(u64 unused);

/* FNINIT and the reset value of MXCSR. */
void vector_reset(void);

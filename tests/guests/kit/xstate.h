/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vector state: x87, SSE, and whatever else XSAVE has here. In assembly, for C is compiled for general registers only;
 * and patterns in all of it, by which a guest notices that it has lost some.
 */
#pragma once

#include "host/types.h"

#define XSTATE_BYTES 4096 /* of an area: more than all that is known here takes */

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

/*
 * Turn on all that CPUID shows of x87, SSE, AVX and AVX-512, by CR4 and XCR0. Returns XCR0: the components that XSAVE
 * has; or 0: there is no XSAVE.
 */
u64 xstate_enable(void);

/* Load a pattern, another one for each seed, into the registers of these components (XCR0 bits) by XRSTOR; or with 0
 * into x87 and SSE by FXRSTOR. */
void xstate_pattern(u64 components, u32 seed);

/* Do the registers still hold what xstate_pattern() has loaded last? */
bool xstate_survived(void);

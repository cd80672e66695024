/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vector registers for code of the hypervisor. All of it is compiled for general registers only, but for the functions
 * of tls/chacha20_vector.c; these run between fpu_begin and fpu_end, on a CPU that holds no guest's vector state.
 */
#pragma once

#include "host/types.h"

/* The components of XCR0 that guests may have here, 0 without XSAVE; and the function that puts the vcpu down whose
 * registers this CPU holds, if any. Boot, once. */
void fpu_init(u64 components, void (*clear)(void));

/* Are there registers of AVX? After fpu_init. */
bool fpu_has_avx(void);

/*
 * Between these the CPU holds no guest's vector state, and what CPUID shows of SSE, and of AVX if fpu_has_avx, can be
 * used. A vcpu whose registers the CPU held gets them back before its next turn. They are not nested, and nothing
 * between them waits, takes interrupts or enters a guest. Host work, no vcpu's exit: nobody's turn is under way.
 */
void fpu_begin(void);
void fpu_end(void);

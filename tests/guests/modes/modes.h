/* SPDX-License-Identifier: BSD-2-Clause */
/* Offsets in struct visit, and what the visits compute, shared by modes.c and the assembly. */
#pragma once

#define VISIT_CR0 0
#define VISIT_CR4 4
#define VISIT_EFER 8
#define VISIT_CS 12
#define VISIT_WIDTH 16
#define VISIT_CPUID 20 /* EBX, EDX, ECX of leaf 0 */
#define VISIT_RESULT 32
#define VISIT_SIZE 36

/* Where the paged visits map the page frame of `window`, far from its own address. */
#define WINDOW_ADDRESS 0x40000000
#define WINDOW_VALUE 0x60D317

#define REAL_ARITHMETIC 0xA7A1
#define REAL_INT_VECTOR 0x60
#define REAL_INT_RESULT 0x1234

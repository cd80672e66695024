/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls from long mode into the older modes and back. Interrupts are off in the callee, whose result is its %eax;
 * callees may change every general register but %esp. In protected mode there is no IDT until the callee loads one: a
 * fault there is the end.
 */
#pragma once

#include "host/types.h"

/* Section .low where it is linked and where it is loaded (guest.lds). */
extern u8 low_start[], low_end[];
extern const u8 low_load[];

/* Address space below 64 KiB: section .low of assembly files is linked there and copied there by modes_init. */
void modes_init(void);

/* fn is 32-bit code, in compatibility mode, ending with RET. */
u32 compat_call(const void *fn);

/* fn is 32-bit code, in protected mode without paging and EFER.LME clear, ending with RET in the same state. */
u32 protected_call(const void *fn);

/*
 * fn is 16-bit code in section .low, in real mode with all segments 0, the IDT at 0 and 2 KiB of stack, ending with
 * a 16-bit RET in the same state.
 */
u32 real_call(const void *fn);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The first instructions (hv/start.S) and what they call. Included by assembler, too. */
#pragma once

#define BOOT_STACK_SIZE 16384

#ifndef __ASSEMBLER__

#include "hv/lib/types.h"

struct handoff;

/* The entry point of the image. */
void hv_start(struct handoff *handoff) __attribute__((noreturn));

/* The rest of the boot, in C: hv/main.c. */
void hv_main(const struct handoff *given) __attribute__((noreturn));

/* Leave the current stack for ever and call fn on the stack that ends at `top` (16-byte aligned). fn doesn't return. */
void stack_enter(u64 top, void (*fn)(void)) __attribute__((noreturn));

#endif

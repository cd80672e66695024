/* SPDX-License-Identifier: BSD-2-Clause */
/* The first instructions (start/start.S) and what they call. Included by assembler, too. */
#pragma once

#define BOOT_STACK_SIZE 16384

#ifndef __ASSEMBLER__

#include "host/types.h"

struct boot_info;

/* The entry point of the image. */
void hv_start(struct boot_info *boot_info) __attribute__((noreturn));

/* The rest of the boot, in C: start/main.c. */
void hv_main(const struct boot_info *given) __attribute__((noreturn));

/* Leave the current stack for ever and call fn on the stack that ends at `top` (16-byte aligned). fn doesn't return. */
void stack_enter(u64 top, void (*fn)(void)) __attribute__((noreturn));

#endif

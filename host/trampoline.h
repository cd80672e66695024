/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page that a starting processor runs first (host/trampoline.S), and the parameters with which smp.c tells the
 * processor where to go. Assembler files include this, too.
 */
#pragma once

#define TRAMPOLINE_PARAMS 0xF80 /* offset of struct trampoline_params in the page */

/* Offsets in struct trampoline_params. */
#define PARAM_TURN 0x00
#define PARAM_CR3 0x04
#define PARAM_FAR32 0x08
#define PARAM_FAR64 0x10
#define PARAM_GDTR 0x18
#define PARAM_STACK 0x20
#define PARAM_ENTRY 0x28
#define PARAM_ARGUMENT 0x30

#ifndef __ASSEMBLER__

#include "host/types.h"

/* The contents of the page that differ from start to start. Addresses of 32 bits are physical. */
struct trampoline_params {
    u32 turn;              /* 1: a processor may start; it takes this by an exchange, so only one does */
    u32 cr3;               /* root of the page tables, below 4 GiB; they map the page identically */
    u32 far32, selector32; /* far pointers to the page's 32-bit and 64-bit code */
    u32 far64, selector64;
    u16 gdt_limit;
    u32 gdt_base;
    u16 reserved;
    u64 stack;    /* top of the CPU's stack */
    u64 entry;    /* C function, entered in 64-bit mode with interrupts off */
    u64 argument; /* its argument */
} __attribute__((packed));

_Static_assert(offsetof(struct trampoline_params, turn) == PARAM_TURN, "trampoline.S");
_Static_assert(offsetof(struct trampoline_params, cr3) == PARAM_CR3, "trampoline.S");
_Static_assert(offsetof(struct trampoline_params, far32) == PARAM_FAR32, "trampoline.S");
_Static_assert(offsetof(struct trampoline_params, far64) == PARAM_FAR64, "trampoline.S");
_Static_assert(offsetof(struct trampoline_params, gdt_limit) == PARAM_GDTR, "trampoline.S");
_Static_assert(offsetof(struct trampoline_params, stack) == PARAM_STACK, "trampoline.S");
_Static_assert(offsetof(struct trampoline_params, entry) == PARAM_ENTRY, "trampoline.S");
_Static_assert(offsetof(struct trampoline_params, argument) == PARAM_ARGUMENT, "trampoline.S");

/* The code to copy, and the places in it that the far pointers and GDTR name. */
extern const char trampoline_start[], trampoline_32[], trampoline_64[], trampoline_gdt[], trampoline_gdt_end[],
    trampoline_end[];

#endif

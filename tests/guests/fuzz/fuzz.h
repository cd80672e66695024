/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel of the fuzzer (fuzz.c), its programs (program.c) and its assembly share. */
#pragma once

/* Offsets in struct user, and in struct legacy_user. */
#define USER_RIP 128
#define USER_DS 168
#define USER_WAY 200
#define LEGACY_EIP 32
#define LEGACY_EFLAGS 40
#define LEGACY_ES 52

#define WAY_IRET 0
#define WAY_SYSRET 1
#define WAY_SYSEXIT 2

#define EFLAGS_VM 0x20000
#define LEGACY_TSS (KIT_SCRATCH + 8)

#ifndef __ASSEMBLER__
#include "host/types.h"

/* Physical memory for programs, mapped where the ends of address spaces are. */
#define ARENA MiB(4)
#define ARENA_SIZE MiB(2)

#define V86_REACH 0x110000 /* 0xFFFF0 + 0xFFFF and less */
#define V86_HOLE 0xC0000
#define V86_HOLE_SIZE 0x10000
#define HOLE 0xD0000000 /* physical: from here on no memory */

#define LDT_SLOTS 32
#define LDT_CODE32 0x07 /* selectors of the slots that are not random */
#define LDT_DATA32 0x0F
#define LDT_CODE16 0x17
#define LDT_DATA16 0x1F
#define LDT_GATE 0x27 /* two slots */
#define LDT_RANDOM 6  /* the first slot of the others */

/* How a program begins: its registers in the order of their numbers, and by which instruction the kernel leaves. */
struct user {
    u64 regs[16];
    u64 rip, cs, rflags, rsp, ss;
    u64 ds, es, fs, gs, way;
};

/* The same outside long mode, in the order in which IRET pops it. */
struct legacy_user {
    u32 regs[8];
    u32 eip, cs, eflags, esp, ss, es, ds, fs, gs;
};

/* program.c: fill the arena's code, the LDT and the registers. The same state of the generator gives the same program.
 */
extern u64 random_state;
u32 random32(void);
void program_long(struct user *user);
void program_legacy(struct legacy_user *user);
void ldt_fill(u64 *ldt, const void *gate_target);

/* enter.S: into ring 3; what ends it is a fault. The targets of the ways into the kernel are faults, too. */
void user_enter(u64 user);
extern const u8 target_syscall[], target_sysenter[], target_gate[], target_tick[];

/* legacy.S: for protected_call. The vector that ended legacy_current is in legacy_vector. */
extern const u8 legacy_round[], legacy_sysenter[];
extern struct legacy_user legacy_current;
extern u32 legacy_vector, legacy_cr4;
extern u32 legacy_pd[1024], legacy_pt[1024];
extern u8 legacy_tss[];
extern const u8 legacy_tss_end[];
extern u8 legacy_io_map[];
extern u64 legacy_idt[256];
extern const u8 legacy_stubs[], legacy_stack_top[];
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The attacks, and what they share. */
#pragma once

#include "tests/guests/kit/trap.h"
#include "host/types.h"

/* A physical address where no machine that we run on has anything. */
#define HOLE 0xD0000000ULL

/* True on Godwit; elsewhere prints SKIP, for emulators forgive what this test expects to be refused. */
bool on_godwit(const char *what);

/* Pseudo-random, the same in every run. */
u32 random32(void);

/* Survivable: each reports what it saw, under the attack's name. */
void attack_features(void);
void attack_virtualization(void);
void attack_instructions(void);
void attack_user(void);
void attack_single_step(void);
void attack_fast_call(void);
void attack_ports(void);
void attack_chips(void);
void attack_strings(void);
void attack_msrs(void);
void attack_mmio(void);
void attack_lapic(void);
void attack_registers(void);
void attack_debug_registers(void);
void attack_modes(void);
void attack_segments(void);
void attack_gates(void);
void attack_addresses(void);
void attack_int_storm(void);
void attack_self_modifying(void);
void attack_fault_recursion(void);

/* Fatal: none of them is to return. */
void attack_triple(void);
void attack_hltoff(void);
void attack_mmioexec(void);
void attack_pagetables(void);
void attack_stack(void);
void attack_loop(void);
void attack_descriptor(void);
void attack_realmode_garbage(void);
void attack_lme(void);
void attack_mmio_vector(void);

/* For ring 3: 32-bit code by the descriptor of KIT_SCRATCH executes SYSENTER under RFLAGS.TF; its target; its stack. */
extern const u8 fast_call[], fast_call_target[], fast_call_stack[];

/*
 * Code of fatal.S for protected_call and real_call: EFER.LME on and CR4.PAE off without paging, which is legal, with
 * many exits meanwhile; the same with paging, which is not; and a jump into the garbage of attack_realmode_garbage.
 */
extern const u8 lme_without_pae[], lme_paging_without_pae[], real_garbage[];

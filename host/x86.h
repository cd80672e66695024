/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Architectural constants of the processor, spelled as in the manuals (SDM 3A "System Architecture Overview", APM 2).
 * Constants only.
 */
#pragma once

#include "host/bits.h"

/* General registers by their encoding: indexes of vcpu->regs. */
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, NR_GPRS };

/* Segment registers by their encoding, then the two system segments: indexes of vcpu_state.seg. */
enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, NR_SEGS };

/* A hypervisor below us: is there one (leaf 1 ECX), and which (EBX: the first letters of its name). */
#define CPUID_1_ECX_HYPERVISOR BIT(31)
#define CPUID_HYPERVISOR 0x40000000
#define CPUID_NAME_TCG 0x54474354 /* TCGT */
#define CPUID_NAME_KVM 0x4B4D564B /* KVMK */

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_VME BIT(0)
#define CR4_PVI BIT(1)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_LA57 BIT(12)
#define CR4_VMXE BIT(13)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE BIT(17)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)
#define EFER_SVME BIT(12)

#define RFLAGS_CF BIT(0)
#define RFLAGS_FIXED1 BIT(1)
#define RFLAGS_PF BIT(2)
#define RFLAGS_AF BIT(4)
#define RFLAGS_ZF BIT(6)
#define RFLAGS_SF BIT(7)
#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_DF BIT(10)
#define RFLAGS_OF BIT(11)
#define RFLAGS_RF BIT(16)
#define RFLAGS_VM BIT(17)
#define RFLAGS_AC BIT(18)

#define DR6_RESET 0xFFFF0FF0ULL
#define DR6_BS BIT(14)
#define DR7_RESET 0x400ULL

#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)

/* Exception vectors (SDM 3A "Interrupt and Exception Handling"). */
enum vector {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_BP = 3,
    VECTOR_OF = 4,
    VECTOR_BR = 5,
    VECTOR_UD = 6,
    VECTOR_NM = 7,
    VECTOR_DF = 8,
    VECTOR_TS = 10,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_MF = 16,
    VECTOR_AC = 17,
    VECTOR_MC = 18,
    VECTOR_XM = 19,
    VECTOR_CP = 21,
};

/* Exceptions that push an error code. */
#define VECTORS_WITH_ERROR_CODE                                                                            \
    (BIT(VECTOR_DF) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) | BIT(VECTOR_GP) | BIT(VECTOR_PF) | \
     BIT(VECTOR_AC) | BIT(VECTOR_CP))

/* Page-fault error code. */
#define PF_PRESENT BIT(0)
#define PF_WRITE BIT(1)
#define PF_USER BIT(2)
#define PF_RSVD BIT(3)
#define PF_FETCH BIT(4)

/* Segment attributes in the layout of a VT-x access-rights field; SEG_UNUSABLE has no hardware twin on AMD-V. */
#define SEG_TYPE BITS(3, 0)
#define SEG_S BIT(4)
#define SEG_DPL BITS(6, 5)
#define SEG_P BIT(7)
#define SEG_L BIT(13)
#define SEG_DB BIT(14)
#define SEG_G BIT(15)
#define SEG_UNUSABLE BIT(16)

/* MXCSR in the legacy region of an XSAVE area, and the bits that it has (SDM 1 "MXCSR Control and Status Register"). */
#define FXSAVE_MXCSR 24
#define MXCSR_BITS 0xFFFFu

/* Page-table entries, host format and guest format (SDM 3A "4-Level Paging"). */
#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_PWT BIT(3)
#define PTE_PCD BIT(4)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_G BIT(8)
#define PTE_NX BIT(63)
#define PTE_ADDR BITS(51, 12)

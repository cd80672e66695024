/* SPDX-License-Identifier: BSD-2-Clause */
/* Architectural constants that guests use, from C and from assembly alike: constants only. */
#pragma once

/* Selectors of kit_gdt (start.S). */
#define KIT_CS32 0x08
#define KIT_CS64 0x10
#define KIT_DS 0x18
#define KIT_USER_DS 0x23
#define KIT_USER_CS 0x2B
#define KIT_CS16 0x30 /* base 0, limit 64 KiB: the way into real mode */
#define KIT_DS16 0x38
#define KIT_TSS 0x40     /* two slots */
#define KIT_SCRATCH 0x50 /* two slots that tests fill with bad descriptors */
#define KIT_GDT_SLOTS 12

#define KIT_STUB_SIZE 16  /* bytes from one stub of vectors.S to the next */
#define FAULT_RETURN 0xFF /* vector by which ring 3 code says that it did not fault */

#define CR0_PE 0x00000001
#define CR0_MP 0x00000002
#define CR0_EM 0x00000004
#define CR0_TS 0x00000008
#define CR0_NE 0x00000020
#define CR0_WP 0x00010000
#define CR0_AM 0x00040000
#define CR0_NW 0x20000000
#define CR0_CD 0x40000000
#define CR0_PG 0x80000000

#define CR4_PSE 0x00000010
#define CR4_PAE 0x00000020
#define CR4_PGE 0x00000080
#define CR4_OSFXSR 0x00000200
#define CR4_OSXMMEXCPT 0x00000400
#define CR4_VMXE 0x00002000
#define CR4_SMXE 0x00004000
#define CR4_OSXSAVE 0x00040000
#define CR4_SMEP 0x00100000
#define CR4_SMAP 0x00200000

#define RFLAGS_FIXED 0x00000002
#define RFLAGS_CF 0x00000001
#define RFLAGS_ZF 0x00000040
#define RFLAGS_SF 0x00000080
#define RFLAGS_TF 0x00000100
#define RFLAGS_IF 0x00000200
#define RFLAGS_AC 0x00040000

#define MSR_APIC_BASE 0x1B
#define APIC_BASE_EXTD 0x400
#define APIC_BASE_ENABLE 0x800
#define MSR_TSC_DEADLINE 0x6E0
#define MSR_X2APIC 0x800 /* first of the x2APIC registers */
#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_EFER 0xC0000080
#define EFER_SCE 0x001
#define EFER_LME 0x100
#define EFER_LMA 0x400
#define EFER_NXE 0x800
#define EFER_SVME 0x1000
#define MSR_LSTAR 0xC0000082
#define MSR_FS_BASE 0xC0000100
#define MSR_GS_BASE 0xC0000101
#define MSR_TSC_AUX 0xC0000103

#define PTE_P 0x001
#define PTE_W 0x002
#define PTE_U 0x004
#define PTE_PWT 0x008
#define PTE_PCD 0x010
#define PTE_A 0x020
#define PTE_D 0x040
#define PTE_PS 0x080
#define PTE_NX 0x8000000000000000

/* Exception vectors. */
#define X86_DE 0
#define X86_DB 1
#define X86_NMI 2
#define X86_BP 3
#define X86_OF 4
#define X86_UD 6
#define X86_NM 7
#define X86_DF 8
#define X86_TS 10
#define X86_NP 11
#define X86_SS 12
#define X86_GP 13
#define X86_PF 14
#define X86_AC 17

/* Page-fault error code. */
#define PF_P 0x01
#define PF_W 0x02
#define PF_U 0x04
#define PF_RSVD 0x08
#define PF_I 0x10

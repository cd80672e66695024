/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual machine control block, as APM 2 appendix B "Layout of VMCB" draws it, and the numbers of appendix C "SVM
 * Intercept Exit Codes", from which the dump has its names.
 *
 * The intercept bit of exit code c, for c < 0xC0, is bit c % 32 of intercept[c / 32]: so one number names both.
 */
#pragma once

#include "host/bits.h"
#include "hv/vcpu_state.h"

#define VMEXITS(X)             \
    X(CR4_READ, 0x04)          \
    X(CR8_READ, 0x08)          \
    X(CR0_WRITE, 0x10)         \
    X(CR4_WRITE, 0x14)         \
    X(CR8_WRITE, 0x18)         \
    X(INTR, 0x60)              \
    X(NMI, 0x61)               \
    X(INIT, 0x63)              \
    X(VINTR, 0x64)             \
    X(RDPMC, 0x6F)             \
    X(CPUID, 0x72)             \
    X(RSM, 0x73)               \
    X(IRET, 0x74)              \
    X(INVD, 0x76)              \
    X(HLT, 0x78)               \
    X(INVLPGA, 0x7A)           \
    X(IOIO, 0x7B)              \
    X(MSR, 0x7C)               \
    X(TASK_SWITCH, 0x7D)       \
    X(SHUTDOWN, 0x7F)          \
    X(VMRUN, 0x80)             \
    X(VMMCALL, 0x81)           \
    X(VMLOAD, 0x82)            \
    X(VMSAVE, 0x83)            \
    X(STGI, 0x84)              \
    X(CLGI, 0x85)              \
    X(SKINIT, 0x86)            \
    X(WBINVD, 0x89)            \
    X(MONITOR, 0x8A)           \
    X(MWAIT, 0x8B)             \
    X(MWAIT_CONDITIONAL, 0x8C) \
    X(XSETBV, 0x8D)            \
    X(RDPRU, 0x8E)             \
    X(NPF, 0x400)

enum vmexit {
#define VMEXIT_ENUM(name, code) VMEXIT_##name = code,
    VMEXITS(VMEXIT_ENUM)
#undef VMEXIT_ENUM
};

#define VMEXIT_EXCP0 0x40         /* plus the exception's vector */
#define VMEXIT_INVALID 0xFFFFFFFF /* low half; the high half is all ones on hardware, 0 on QEMU 7.2 */

#define INTERCEPT_WORDS 6

/* tlb_control */
#define TLB_CONTROL_NOTHING 0
#define TLB_CONTROL_FLUSH_ALL 1

/* interrupt_control */
#define V_IRQ BIT(8)
#define V_INTR_PRIO BITS(19, 16)
#define V_IGN_TPR BIT(20)
#define V_INTR_MASKING BIT(24)

/* interrupt_state */
#define INTERRUPT_SHADOW BIT(0)

/* nested_control */
#define NP_ENABLE BIT(0)

/* event_injection and exit_int_info: the type is enum event_type of hv/vcpu.h. */
#define EVENT_VECTOR BITS(7, 0)
#define EVENT_TYPE BITS(10, 8)
#define EVENT_ERROR_VALID BIT(11)
#define EVENT_VALID BIT(31)
#define EVENT_ERROR BITS(63, 32)

/* exit_info_1 of VMEXIT_IOIO (APM 2 "IOIO Intercept Information") */
#define IOIO_IN BIT(0)
#define IOIO_STRING BIT(2)
#define IOIO_REP BIT(3)
#define IOIO_SIZE BITS(6, 4)      /* in bytes: one bit of 1, 2, 4 */
#define IOIO_ADDR_SIZE BITS(9, 7) /* one bit of 16, 32, 64: shifted down and doubled, it is the size in bytes */
#define IOIO_SEGMENT BITS(12, 10)
#define IOIO_PORT BITS(31, 16)

/* exit_info_1 of VMEXIT_CRn_* with decode assists */
#define CR_INFO_MOV BIT(63)
#define CR_INFO_GPR BITS(3, 0)

/* exit_info_1 of VMEXIT_NPF: a page-fault error code, and where in the walk the fault was */
#define NPF_WALK BIT(33)

/* Attributes of a segment: descriptor bits 55:52 and 47:40, packed. */
#define VMCB_ATTR_LOW BITS(7, 0)
#define VMCB_ATTR_HIGH BITS(11, 8)

struct vmcb_segment {
    u16 selector;
    u16 attr;
    u32 limit;
    u64 base;
};

struct vmcb_control {
    u32 intercept[INTERCEPT_WORDS];
    u8 reserved_018[0x40 - 0x18];
    u64 iopm_base_pa;
    u64 msrpm_base_pa;
    u64 tsc_offset;
    u32 asid;
    u32 tlb_control;
    u32 interrupt_control;
    u32 interrupt_vector;
    u64 interrupt_state;
    u64 exit_code;
    u64 exit_info_1;
    u64 exit_info_2;
    u64 exit_int_info;
    u64 nested_control;
    u8 reserved_098[0xA8 - 0x98];
    u64 event_injection;
    u64 nested_cr3;
    u64 lbr_control;
    u32 clean; /* 0: the processor rereads everything */
    u32 reserved_0c4;
    u64 next_rip;
    u8 reserved_0d0[0x400 - 0xD0];
};

struct vmcb_save {
    struct vmcb_segment seg[SEG_GS + 1]; /* ES to GS */
    struct vmcb_segment gdtr, ldtr, idtr, tr;
    u8 reserved_0a0[0xCB - 0xA0];
    u8 cpl;
    u32 reserved_0cc;
    u64 efer;
    u8 reserved_0d8[0x148 - 0xD8];
    u64 cr4;
    u64 cr3;
    u64 cr0;
    u64 dr7;
    u64 dr6;
    u64 rflags;
    u64 rip;
    u8 reserved_180[0x1D8 - 0x180];
    u64 rsp;
    u8 reserved_1e0[0x1F8 - 0x1E0];
    u64 rax;
    struct syscall_msrs syscall;
    struct sysenter_msrs sysenter;
    u64 cr2;
    u8 reserved_248[0x268 - 0x248];
    u64 g_pat;
};

struct vmcb {
    struct vmcb_control control;
    struct vmcb_save save;
};

_Static_assert(offsetof(struct vmcb_control, iopm_base_pa) == 0x40, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, asid) == 0x58, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, interrupt_control) == 0x60, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, exit_code) == 0x70, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, nested_control) == 0x90, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, event_injection) == 0xA8, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, clean) == 0xC0, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, next_rip) == 0xC8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, save) == 0x400, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, tr) == 0x90, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, cpl) == 0xCB, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, efer) == 0xD0, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, cr4) == 0x148, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, rip) == 0x178, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, rsp) == 0x1D8, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, rax) == 0x1F8, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, cr2) == 0x240, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, g_pat) == 0x268, "VMCB layout");
_Static_assert(sizeof(struct vmcb) <= PAGE_SIZE, "VMCB layout");

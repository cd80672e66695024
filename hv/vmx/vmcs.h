/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMCS by the names of SDM 3D "Field Encoding in VMCS", control bits, exit reasons and the layouts of the
 * information fields. Constants only.
 *
 * The enum and the dump's names come from one list. An encoding holds the field's width (bits 14:13) and area (11:10).
 */
#pragma once

#include "host/bits.h"

#define VMCS_CONTROL_FIELDS(X)            \
    X(VIRTUAL_PROCESSOR_ID, 0x0000)       \
    X(MSR_BITMAP, 0x2004)                 \
    X(PML_ADDRESS, 0x200E)                \
    X(TSC_OFFSET, 0x2010)                 \
    X(EPT_POINTER, 0x201A)                \
    X(TSC_MULTIPLIER, 0x2032)             \
    X(PIN_BASED_CONTROLS, 0x4000)         \
    X(PRIMARY_CONTROLS, 0x4002)           \
    X(EXCEPTION_BITMAP, 0x4004)           \
    X(PAGE_FAULT_ERROR_MASK, 0x4006)      \
    X(PAGE_FAULT_ERROR_MATCH, 0x4008)     \
    X(CR3_TARGET_COUNT, 0x400A)           \
    X(EXIT_CONTROLS, 0x400C)              \
    X(EXIT_MSR_STORE_COUNT, 0x400E)       \
    X(EXIT_MSR_LOAD_COUNT, 0x4010)        \
    X(ENTRY_CONTROLS, 0x4012)             \
    X(ENTRY_MSR_LOAD_COUNT, 0x4014)       \
    X(ENTRY_INTERRUPTION_INFO, 0x4016)    \
    X(ENTRY_EXCEPTION_ERROR_CODE, 0x4018) \
    X(ENTRY_INSTRUCTION_LENGTH, 0x401A)   \
    X(SECONDARY_CONTROLS, 0x401E)         \
    X(CR0_GUEST_HOST_MASK, 0x6000)        \
    X(CR4_GUEST_HOST_MASK, 0x6002)        \
    X(CR0_READ_SHADOW, 0x6004)            \
    X(CR4_READ_SHADOW, 0x6006)

#define VMCS_EXIT_FIELDS(X)                 \
    X(GUEST_PHYSICAL_ADDRESS, 0x2400)       \
    X(VM_INSTRUCTION_ERROR, 0x4400)         \
    X(EXIT_REASON, 0x4402)                  \
    X(EXIT_INTERRUPTION_INFO, 0x4404)       \
    X(EXIT_INTERRUPTION_ERROR_CODE, 0x4406) \
    X(IDT_VECTORING_INFO, 0x4408)           \
    X(IDT_VECTORING_ERROR_CODE, 0x440A)     \
    X(EXIT_INSTRUCTION_LENGTH, 0x440C)      \
    X(EXIT_INSTRUCTION_INFO, 0x440E)        \
    X(EXIT_QUALIFICATION, 0x6400)

/* One field of each segment, in the order of enum seg. */
#define VMCS_SEGMENTS(X, kind, first) \
    X(GUEST_ES_##kind, first)         \
    X(GUEST_CS_##kind, first + 2)     \
    X(GUEST_SS_##kind, first + 4)     \
    X(GUEST_DS_##kind, first + 6)     \
    X(GUEST_FS_##kind, first + 8)     \
    X(GUEST_GS_##kind, first + 10)    \
    X(GUEST_LDTR_##kind, first + 12)  \
    X(GUEST_TR_##kind, first + 14)

#define VMCS_GUEST_FIELDS(X)                \
    VMCS_SEGMENTS(X, SELECTOR, 0x0800)      \
    X(GUEST_PML_INDEX, 0x0812)              \
    X(VMCS_LINK_POINTER, 0x2800)            \
    X(GUEST_DEBUGCTL, 0x2802)               \
    X(GUEST_PAT, 0x2804)                    \
    X(GUEST_EFER, 0x2806)                   \
    X(GUEST_PDPTE0, 0x280A)                 \
    X(GUEST_PDPTE1, 0x280C)                 \
    X(GUEST_PDPTE2, 0x280E)                 \
    X(GUEST_PDPTE3, 0x2810)                 \
    VMCS_SEGMENTS(X, LIMIT, 0x4800)         \
    X(GUEST_GDTR_LIMIT, 0x4810)             \
    X(GUEST_IDTR_LIMIT, 0x4812)             \
    VMCS_SEGMENTS(X, ACCESS_RIGHTS, 0x4814) \
    X(GUEST_INTERRUPTIBILITY, 0x4824)       \
    X(GUEST_ACTIVITY, 0x4826)               \
    X(GUEST_SYSENTER_CS, 0x482A)            \
    X(PREEMPTION_TIMER, 0x482E)             \
    X(GUEST_CR0, 0x6800)                    \
    X(GUEST_CR3, 0x6802)                    \
    X(GUEST_CR4, 0x6804)                    \
    VMCS_SEGMENTS(X, BASE, 0x6806)          \
    X(GUEST_GDTR_BASE, 0x6816)              \
    X(GUEST_IDTR_BASE, 0x6818)              \
    X(GUEST_DR7, 0x681A)                    \
    X(GUEST_RSP, 0x681C)                    \
    X(GUEST_RIP, 0x681E)                    \
    X(GUEST_RFLAGS, 0x6820)                 \
    X(GUEST_PENDING_DEBUG, 0x6822)          \
    X(GUEST_SYSENTER_ESP, 0x6824)           \
    X(GUEST_SYSENTER_EIP, 0x6826)

#define VMCS_HOST_FIELDS(X)      \
    X(HOST_ES_SELECTOR, 0x0C00)  \
    X(HOST_CS_SELECTOR, 0x0C02)  \
    X(HOST_SS_SELECTOR, 0x0C04)  \
    X(HOST_DS_SELECTOR, 0x0C06)  \
    X(HOST_FS_SELECTOR, 0x0C08)  \
    X(HOST_GS_SELECTOR, 0x0C0A)  \
    X(HOST_TR_SELECTOR, 0x0C0C)  \
    X(HOST_PAT, 0x2C00)          \
    X(HOST_EFER, 0x2C02)         \
    X(HOST_SYSENTER_CS, 0x4C00)  \
    X(HOST_CR0, 0x6C00)          \
    X(HOST_CR3, 0x6C02)          \
    X(HOST_CR4, 0x6C04)          \
    X(HOST_FS_BASE, 0x6C06)      \
    X(HOST_GS_BASE, 0x6C08)      \
    X(HOST_TR_BASE, 0x6C0A)      \
    X(HOST_GDTR_BASE, 0x6C0C)    \
    X(HOST_IDTR_BASE, 0x6C0E)    \
    X(HOST_SYSENTER_ESP, 0x6C10) \
    X(HOST_SYSENTER_EIP, 0x6C12) \
    X(HOST_RSP, 0x6C14)          \
    X(HOST_RIP, 0x6C16)

#define VMCS_FIELDS(X) VMCS_CONTROL_FIELDS(X) VMCS_EXIT_FIELDS(X) VMCS_GUEST_FIELDS(X) VMCS_HOST_FIELDS(X)

enum vmcs_field {
#define VMCS_ENUM(name, encoding) name = encoding,
    VMCS_FIELDS(VMCS_ENUM)
#undef VMCS_ENUM
};

/* Fields of one kind are two apart: of segments in the order of enum seg, and the four PDPTEs. */
#define VMCS_NTH(first, n) ((enum vmcs_field)((first) + 2 * (n)))

#define PIN_EXTERNAL_INTERRUPT BIT(0)
#define PIN_NMI BIT(3)
#define PIN_VIRTUAL_NMIS BIT(5)
#define PIN_PREEMPTION_TIMER BIT(6)

#define PRIMARY_INTERRUPT_WINDOW BIT(2)
#define PRIMARY_TSC_OFFSETTING BIT(3)
#define PRIMARY_HLT BIT(7)
#define PRIMARY_MWAIT BIT(10)
#define PRIMARY_RDPMC BIT(11)
#define PRIMARY_CR8_LOAD BIT(19)
#define PRIMARY_CR8_STORE BIT(20)
#define PRIMARY_NMI_WINDOW BIT(22)
#define PRIMARY_UNCONDITIONAL_IO BIT(24)
#define PRIMARY_MSR_BITMAPS BIT(28)
#define PRIMARY_MONITOR BIT(29)
#define PRIMARY_SECONDARY BIT(31)

#define SECONDARY_EPT BIT(1)
#define SECONDARY_RDTSCP BIT(3)
#define SECONDARY_VPID BIT(5)
#define SECONDARY_WBINVD BIT(6)
#define SECONDARY_UNRESTRICTED_GUEST BIT(7)
#define SECONDARY_PML BIT(17)
#define SECONDARY_TSC_SCALING BIT(25)

#define EXIT_SAVE_DEBUG BIT(2)
#define EXIT_HOST_64BIT BIT(9)
#define EXIT_LOAD_PAT BIT(19)
#define EXIT_LOAD_EFER BIT(21)
#define EXIT_SAVE_TIMER BIT(22)

#define ENTRY_LOAD_DEBUG BIT(2)
#define ENTRY_IA32E_GUEST BIT(9)
#define ENTRY_LOAD_PAT BIT(14)
#define ENTRY_LOAD_EFER BIT(15)

/* MSR_VMX_BASIC */
#define BASIC_REVISION BITS(30, 0)
#define BASIC_INSTRUCTION_INFO BIT(54) /* INS and OUTS exits describe their operand */
#define BASIC_TRUE_CONTROLS BIT(55)

/* MSR_VMX_MISC: the preemption timer counts one in 2^rate TSC ticks. */
#define MISC_TIMER_RATE BITS(4, 0)

/* MSR_VMX_EPT_VPID_CAP */
#define EPT_CAP_4_LEVELS BIT(6)
#define EPT_CAP_WRITE_BACK BIT(14)
#define EPT_CAP_2M BIT(16)
#define EPT_CAP_1G BIT(17)
#define EPT_CAP_INVEPT BIT(20)
#define EPT_CAP_ACCESSED_DIRTY BIT(21)
#define EPT_CAP_INVEPT_CONTEXT BIT(25)
#define VPID_CAP_INVVPID BIT(32)
#define VPID_CAP_CONTEXT BIT(41)

#define EPT_READ BIT(0)
#define EPT_WRITE BIT(1)
#define EPT_EXEC BIT(2)
#define EPT_MEMORY_WB (6ULL << 3)
#define EPT_LARGE BIT(7)
#define EPT_ACCESSED BIT(8)
#define EPT_DIRTY BIT(9)
#define EPT_IGNORED BIT(52) /* the lowest bit that is ignored at all levels, under any control */

#define EPTP_WRITE_BACK 6ULL
#define EPTP_4_LEVELS (3ULL << 3)
#define EPTP_ACCESSED_DIRTY BIT(6)

/* GUEST_INTERRUPTIBILITY: the first two bits equal enum shadow. */
#define BLOCKING_BY_STI BIT(0)
#define BLOCKING_BY_MOV_SS BIT(1)
#define BLOCKING_BY_NMI BIT(3)

#define PENDING_DEBUG_BS BIT(14)

/* Interruption information, on entry, on exit and in IDT vectoring. */
#define INTERRUPTION_VECTOR BITS(7, 0)
#define INTERRUPTION_TYPE BITS(10, 8)
#define INTERRUPTION_ERROR_CODE BIT(11)
#define INTERRUPTION_NMI_UNBLOCKED BIT(12) /* at an exit: IRET had ended NMI blocking, then faulted */
#define INTERRUPTION_VALID BIT(31)

#define EXIT_REASON_BASIC BITS(15, 0)
#define EXIT_REASON_ENTRY_FAILURE BIT(31)

/* Exit qualifications. */
#define QUALIFICATION_CR_NUMBER BITS(3, 0)
#define QUALIFICATION_CR_ACCESS BITS(5, 4)
#define QUALIFICATION_CR_GPR BITS(11, 8)
#define QUALIFICATION_CR_LMSW BITS(31, 16)
#define QUALIFICATION_IO_SIZE BITS(2, 0) /* less 1 */
#define QUALIFICATION_IO_IN BIT(3)
#define QUALIFICATION_IO_STRING BIT(4)
#define QUALIFICATION_IO_REP BIT(5)
#define QUALIFICATION_IO_PORT BITS(31, 16)
#define QUALIFICATION_EPT_WRITE BIT(1)
#define QUALIFICATION_EPT_FETCH BIT(2)
#define QUALIFICATION_EPT_LINEAR BIT(7)
#define QUALIFICATION_EPT_FINAL BIT(8)
#define QUALIFICATION_EPT_NMI_UNBLOCKED BIT(12)
#define QUALIFICATION_DEBUG_CAUSES (BITS(14, 13) | BITS(3, 0)) /* as in DR6 */

enum cr_access { CR_ACCESS_WRITE, CR_ACCESS_READ, CR_ACCESS_CLTS, CR_ACCESS_LMSW };

/* EXIT_INSTRUCTION_INFO of INS and OUTS. */
#define INSTRUCTION_INFO_ADDR_SIZE BITS(9, 7) /* 2 << this bytes */
#define INSTRUCTION_INFO_SEGMENT BITS(17, 15)

/* SDM 3D appendix C "VMX Basic Exit Reasons". */
#define VMX_EXITS(X)            \
    X(EXCEPTION_NMI, 0)         \
    X(EXTERNAL_INTERRUPT, 1)    \
    X(TRIPLE_FAULT, 2)          \
    X(INIT, 3)                  \
    X(SIPI, 4)                  \
    X(INTERRUPT_WINDOW, 7)      \
    X(NMI_WINDOW, 8)            \
    X(TASK_SWITCH, 9)           \
    X(CPUID, 10)                \
    X(GETSEC, 11)               \
    X(HLT, 12)                  \
    X(INVD, 13)                 \
    X(RDPMC, 15)                \
    X(VMCALL, 18)               \
    X(VMCLEAR, 19)              \
    X(VMLAUNCH, 20)             \
    X(VMPTRLD, 21)              \
    X(VMPTRST, 22)              \
    X(VMREAD, 23)               \
    X(VMRESUME, 24)             \
    X(VMWRITE, 25)              \
    X(VMXOFF, 26)               \
    X(VMXON, 27)                \
    X(CR_ACCESS, 28)            \
    X(IO, 30)                   \
    X(RDMSR, 31)                \
    X(WRMSR, 32)                \
    X(ENTRY_GUEST_STATE, 33)    \
    X(ENTRY_MSR_LOADING, 34)    \
    X(MWAIT, 36)                \
    X(MONITOR, 39)              \
    X(ENTRY_MACHINE_CHECK, 41)  \
    X(EPT_VIOLATION, 48)        \
    X(EPT_MISCONFIGURATION, 49) \
    X(INVEPT, 50)               \
    X(RDTSCP, 51)               \
    X(PREEMPTION_TIMER, 52)     \
    X(INVVPID, 53)              \
    X(WBINVD, 54)               \
    X(XSETBV, 55)               \
    X(INVPCID, 58)              \
    X(VMFUNC, 59)               \
    X(PML_FULL, 62)

enum vmx_exit {
#define VMX_EXIT_ENUM(name, number) VMX_EXIT_##name = number,
    VMX_EXITS(VMX_EXIT_ENUM)
#undef VMX_EXIT_ENUM
};

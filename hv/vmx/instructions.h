/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMX instructions (SDM 3D "VMX Instruction Reference"). A failure is our own mistake and causes a panic;
 * only VMXON may be refused. */
#pragma once

#include "host/types.h"
#include "hv/vmx/vmcs.h"

/* Panic; the message names the instruction, the field or address, and the instruction error if there is one. */
void vmx_instruction_failed(const char *instruction, u64 operand) __attribute__((noreturn, cold));

/*
 * VMREAD is not checked, to keep the hot path short. It fails without a current VMCS, but then a VMWRITE before it
 * would have failed first; or for a field that the processor lacks, but the fields that we read exist with the controls
 * that we insist on.
 */
static inline u64 vmread(enum vmcs_field field)
{
    u64 value;

    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((u64)field) : "cc");
    return value;
}

/* VMREAD straight to memory. */
static inline void vmread_to(enum vmcs_field field, u64 *value)
{
    __asm__ volatile("vmread %1, %0" : "=m"(*value) : "r"((u64)field) : "cc");
}

/* VMREAD for the dump: false if this processor has no such field. */
static inline bool vmread_try(enum vmcs_field field, u64 *value)
{
    bool failed;

    __asm__ volatile("vmread %2, %0" : "=r"(*value), "=@ccbe"(failed) : "r"((u64)field));
    return !failed;
}

static inline void vmwrite(enum vmcs_field field, u64 value)
{
    __asm__ goto("vmwrite %0, %1\n\tjbe %l[failed]" : : "rm"(value), "r"((u64)field) : "cc" : failed);
    return;
failed:
    vmx_instruction_failed("VMWRITE", field);
}

static inline bool vmxon(hpa_t region)
{
    bool failed;

    __asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region) : "memory");
    return !failed;
}

static inline void vmclear(hpa_t vmcs)
{
    bool failed;

    __asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vmcs) : "memory");
    if (failed)
        vmx_instruction_failed("VMCLEAR", vmcs);
}

static inline void vmptrld(hpa_t vmcs)
{
    bool failed;

    __asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(vmcs) : "memory");
    if (failed)
        vmx_instruction_failed("VMPTRLD", vmcs);
}

#define INVALIDATE_CONTEXT 1ULL /* the type of INVEPT and INVVPID */

static inline void invept(u64 eptp)
{
    const u64 descriptor[2] = { eptp, 0 };
    bool failed;

    __asm__ volatile("invept %1, %2" : "=@ccbe"(failed) : "m"(descriptor), "r"(INVALIDATE_CONTEXT) : "memory");
    if (failed)
        vmx_instruction_failed("INVEPT", eptp);
}

static inline void invvpid(u16 vpid)
{
    const u64 descriptor[2] = { vpid, 0 };
    bool failed;

    __asm__ volatile("invvpid %1, %2" : "=@ccbe"(failed) : "m"(descriptor), "r"(INVALIDATE_CONTEXT) : "memory");
    if (failed)
        vmx_instruction_failed("INVVPID", vpid);
}

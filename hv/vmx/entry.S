/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_enter(rdi: regs, sil: launched) -> eax: enum vmx_entry, or VMX_FAULT plus the vector of an exception.
 *
 * An exit leaves the guest's general registers in the processor and our stack pointer as HOST_RSP had it: on top is
 * regs (SDM 3C "VM Exits"). RSP, RIP, RFLAGS and segments are switched by the processor.
 */
#include "host/fixup.h"
#include "hv/entry_regs.h"

#define HOST_RSP 0x6C14 /* as in vmcs.h; run.c asserts */

    .section .text.vmx_enter, "ax", @progbits
    .globl vmx_enter
    .type vmx_enter, @function
vmx_enter:
    host_regs_push
    pushq %rdi
    movl $HOST_RSP, %eax
    vmwrite %rsp, %rax

    testb %sil, %sil            /* the loads leave the flags alone */
    movq (%rdi), %rax
    guest_regs_load
    jz 1f
5:  vmresume
    jmp 2f
1:  vmlaunch
    FIXUP(5b, vmx_enter_faulted)
    FIXUP(1b, vmx_enter_faulted)

    /* We are still here: the entry was refused before anything was loaded. CF: no current VMCS; ZF: an error number is
     * in the VMCS. */
2:  movl $1, %eax
    jc 3f
    incl %eax
3:  addq $8, %rsp
    jmp 4f

vmx_enter_faulted:
    addl $3, %eax               /* VMX_FAULT; run.c asserts */
    jmp 3b

    .globl vmx_exit_landing
vmx_exit_landing:
    pushq %rdi
    movq 8(%rsp), %rdi
    movq %rax, (%rdi)
    guest_regs_store
    popq %rdi
    xorl %eax, %eax

4:  host_regs_pop
    ret
    .size vmx_enter, . - vmx_enter

    .section .note.GNU-stack, "", @progbits

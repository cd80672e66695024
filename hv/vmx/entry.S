/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_enter(rdi: regs, sil: launched) -> eax: enum vmx_entry, or VMX_FAULT plus the vector of an exception.
 *
 * An exit leaves the guest's general registers in the processor and our stack pointer as HOST_RSP had it: on top is
 * regs (SDM 3C "VM Exits"). RSP, RIP, RFLAGS and segments are switched by the processor.
 */
#include "host/fixup.h"

#define HOST_RSP 0x6C14 /* as in vmcs.h; run.c asserts */
#define RAX_SLOT 0(%rdi)
#define RCX_SLOT 8(%rdi)
#define RDX_SLOT 16(%rdi)
#define RBX_SLOT 24(%rdi)
#define RBP_SLOT 40(%rdi)
#define RSI_SLOT 48(%rdi)
#define RDI_SLOT 56(%rdi)
#define R_SLOT(n) (8 * n)(%rdi)

    .section .text.vmx_enter, "ax", @progbits
    .globl vmx_enter
    .type vmx_enter, @function
vmx_enter:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdi
    movl $HOST_RSP, %eax
    vmwrite %rsp, %rax

    testb %sil, %sil            /* the loads leave the flags alone */
    movq RAX_SLOT, %rax
    movq RCX_SLOT, %rcx
    movq RDX_SLOT, %rdx
    movq RBX_SLOT, %rbx
    movq RBP_SLOT, %rbp
    movq RSI_SLOT, %rsi
    movq R_SLOT(8), %r8
    movq R_SLOT(9), %r9
    movq R_SLOT(10), %r10
    movq R_SLOT(11), %r11
    movq R_SLOT(12), %r12
    movq R_SLOT(13), %r13
    movq R_SLOT(14), %r14
    movq R_SLOT(15), %r15
    movq RDI_SLOT, %rdi
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
    movq %rax, RAX_SLOT
    movq %rcx, RCX_SLOT
    movq %rdx, RDX_SLOT
    movq %rbx, RBX_SLOT
    movq %rbp, RBP_SLOT
    movq %rsi, RSI_SLOT
    movq %r8, R_SLOT(8)
    movq %r9, R_SLOT(9)
    movq %r10, R_SLOT(10)
    movq %r11, R_SLOT(11)
    movq %r12, R_SLOT(12)
    movq %r13, R_SLOT(13)
    movq %r14, R_SLOT(14)
    movq %r15, R_SLOT(15)
    popq RDI_SLOT
    popq %rdi
    xorl %eax, %eax

4:  popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size vmx_enter, . - vmx_enter

    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svm_enter(rdi: regs, rsi: VMCB, rdx: host area), the latter two physical -> eax: NO_FAULT or a vector. Called and
 * left with GIF = 0, so nothing interrupts the stretches where host code runs on guest values of GS, TR and the general
 * registers; but VMLOAD and VMRUN themselves may fault there.
 *
 * VMRUN itself switches RIP, RSP, RAX, RFLAGS, control registers and CS, SS, DS, ES, GDTR, IDTR (APM 2 "VMRUN");
 * VMLOAD and VMSAVE the rest of the segment state and the syscall MSRs.
 */
#include "host/fixup.h"

#define RCX_SLOT 8(%rdi)
#define RDX_SLOT 16(%rdi)
#define RBX_SLOT 24(%rdi)
#define RBP_SLOT 40(%rdi)
#define RSI_SLOT 48(%rdi)
#define RDI_SLOT 56(%rdi)
#define R_SLOT(n) (8 * n)(%rdi)

    .section .text.svm_enter, "ax", @progbits
    .globl svm_enter
    .type svm_enter, @function
svm_enter:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdi
    pushq %rdx
    movq %rsi, %rax

    /*
     * With V_INTR_MASKING it is the host's IF at VMRUN that lets a physical interrupt end the guest's run. GIF = 0
     * keeps it from us meanwhile. The loads below keep the one-instruction shadow of STI away from VMRUN: QEMU 7.2
     * would carry it into the guest.
     */
    sti
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

1:  vmload %rax
    .globl svm_enter_vmrun
svm_enter_vmrun:
    vmrun %rax
    FIXUP(1b, svm_enter_refused)
    FIXUP(svm_enter_vmrun, svm_enter_refused)
    vmsave %rax

    /* The exit restored RFLAGS with IF = 1 and cleared GIF: close IF again before the caller opens GIF. */
    cli
    pushq %rdi
    movq 16(%rsp), %rdi
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
    movl $-1, %edx              /* NO_FAULT */
2:  popq %rax
    vmload %rax
    movl %edx, %eax
    popq %rdi
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

    /* The guest's registers are in memory as they were. */
svm_enter_refused:
    cli
    movl %eax, %edx
    jmp 2b
    .size svm_enter, . - svm_enter

    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For entry.S of both backends: the general registers of the guest and of the C code that calls.
 *
 * %rdi points to vcpu->regs, which is in the order of enum gpr. RSP and RAX are the backend's business.
 */
#pragma once

#ifdef __ASSEMBLER__

/* clang-format off */
    /* RDI, the pointer itself, is loaded last. No flag changes. */
    .macro guest_regs_load
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    movq 8 * \n(%rdi), %r\n
    .endr
    movq 8(%rdi), %rcx
    movq 16(%rdi), %rdx
    movq 24(%rdi), %rbx
    movq 40(%rdi), %rbp
    movq 48(%rdi), %rsi
    movq 56(%rdi), %rdi
    .endm

    /* The guest's RDI is on top of the stack. */
    .macro guest_regs_store
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    movq %r\n, 8 * \n(%rdi)
    .endr
    movq %rcx, 8(%rdi)
    movq %rdx, 16(%rdi)
    movq %rbx, 24(%rdi)
    movq %rbp, 40(%rdi)
    movq %rsi, 48(%rdi)
    popq 56(%rdi)
    .endm

    .macro host_regs_push
    .irp reg, rbp, rbx, r12, r13, r14, r15
    pushq %\reg
    .endr
    .endm

    .macro host_regs_pop
    .irp reg, r15, r14, r13, r12, rbx, rbp
    popq %\reg
    .endr
    .endm
/* clang-format on */

#endif

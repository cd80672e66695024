/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions and interrupts enter here: a stub for each vector makes the stack uniform (struct trap_frame), then all
 * continue in the same code.
 *
 * The processor aligns the stack to 16 before it pushes (SDM 3A "64-Bit Mode Stack Frame"); 5 words of its own,
 * error, vector and 15 registers keep that alignment for the call.
 */
#include "host/trap_entry.h"

    .code64
    .section .text.trap_entry, "ax"

    .balign TRAP_STUB_SIZE
    .globl trap_stubs
    .type trap_stubs, @function
trap_stubs:
    .set vector, 0
    .rept 256
    .balign TRAP_STUB_SIZE
    .if vector >= 32 || !((TRAP_ERROR_CODES >> (vector & 31)) & 1)
    push $0
    .endif
    push $vector
    jmp trap_common
    .set vector, vector + 1
    .endr
    .size trap_stubs, . - trap_stubs

    .type trap_common, @function
trap_common:
    .irp reg, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    push %\reg
    .endr
    cld
    mov %rsp, %rdi
    call trap_handle
    .irp reg, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
    pop %\reg
    .endr
    add $16, %rsp               /* vector, error */
    iretq
    .size trap_common, . - trap_common

    .section .note.GNU-stack, "", @progbits

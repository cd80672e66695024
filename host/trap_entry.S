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
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi
    call trap_handle
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp               /* vector, error */
    iretq
    .size trap_common, . - trap_common

    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: BSD-2-Clause */
/* The 256 entries of the IDT, and the two functions that run code which is expected to fault. */
#include "tests/guests/kit/x86.h"

    .text
    .globl trap_stubs
    .align KIT_STUB_SIZE
trap_stubs:
    .set vector, 0
    .rept 256
    .align KIT_STUB_SIZE
    /* Vectors for which the CPU pushes no error code get a zero, so that all frames look alike. */
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push $0
    .endif
    push $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    /* Builds struct trap_frame (trap.h) on the stack. */
trap_common:
    push %rax
    push %rbx
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %rbp
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
    mov %rsp, %rbp
    and $-16, %rsp
    call trap_dispatch
    mov %rbp, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rbp
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rbx
    pop %rax
    add $16, %rsp
    iretq

    /*
     * void fault_call(void (*fn)(u64), u64 arg): runs fn(arg); a fault in it resumes at fault_resume with the stack of
     * this frame. fault_call_user does the same in ring 3; fn's return there is INT FAULT_RETURN.
     */
    .globl fault_call, fault_call_user, fault_resume, fault_stack
fault_call:
    call fault_save
    mov %rdi, %rax
    mov %rsi, %rdi
    call *%rax
fault_resume:
    mov fault_stack, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

fault_call_user:
    call fault_save
    mov %rdi, %rax
    mov %rsi, %rdi
    movq $user_return, user_stack_top - 8
    push $KIT_USER_DS
    push $user_stack_top - 8
    push $RFLAGS_FIXED
    push $KIT_USER_CS
    push %rax
    iretq

    /* The only caller's return address goes back on top of the saved registers' frame. */
fault_save:
    pop %rax
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, fault_stack
    jmp *%rax

    /* In ring 3: fn has returned without a fault. */
user_return:
    int $FAULT_RETURN

    .bss
    .align 16
    .fill 4096, 1, 0
user_stack_top:
fault_stack:
    .quad 0

    .section .note.GNU-stack, "", @progbits

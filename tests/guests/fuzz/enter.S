/* SPDX-License-Identifier: BSD-2-Clause */
/* From the fuzzer's kernel into ring 3, and where programs come back. */
#include "tests/guests/fuzz/fuzz.h"
#include "tests/guests/kit/x86.h"

    .text
    .globl user_enter, target_syscall, target_sysenter, target_gate, target_tick
user_enter:
    mov USER_DS(%rdi), %eax
    mov %eax, %ds
    mov USER_DS + 8(%rdi), %eax
    mov %eax, %es
    mov USER_DS + 16(%rdi), %eax
    mov %eax, %fs
    mov USER_DS + 24(%rdi), %eax
    mov %eax, %gs
    cmpl $WAY_IRET, USER_WAY(%rdi)
    jne 1f
    push USER_RIP + 32(%rdi)
    push USER_RIP + 24(%rdi)
    push USER_RIP + 16(%rdi)
    push USER_RIP + 8(%rdi)
    push USER_RIP(%rdi)
    call registers_load
    mov 56(%rdi), %rdi
    iretq

1:  cmpl $WAY_SYSRET, USER_WAY(%rdi)
    jne 2f
    call registers_load
    mov USER_RIP(%rdi), %rcx
    mov USER_RIP + 16(%rdi), %r11
    mov USER_RIP + 24(%rdi), %rsp
    mov 56(%rdi), %rdi
    sysretq

2:  call registers_load
    mov USER_RIP(%rdi), %rdx
    mov USER_RIP + 24(%rdi), %rcx
    sti
    sysexitq

registers_load:
    mov (%rdi), %rax
    mov 8(%rdi), %rcx
    mov 16(%rdi), %rdx
    mov 24(%rdi), %rbx
    mov 40(%rdi), %rbp
    mov 48(%rdi), %rsi
    mov 64(%rdi), %r8
    mov 72(%rdi), %r9
    mov 80(%rdi), %r10
    mov 88(%rdi), %r11
    mov 96(%rdi), %r12
    mov 104(%rdi), %r13
    mov 112(%rdi), %r14
    mov 120(%rdi), %r15
    ret

target_syscall:
    ud2
target_sysenter:
    ud2
target_gate:
    ud2
target_tick:
    ud2

    .section .note.GNU-stack, "", @progbits

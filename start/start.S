/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's first instruction (config/boot_info.h says in what state), and the change to another stack.
 *
 * The boot stack serves until the hypervisor's own page tables can put a guard gap below a stack: see start/main.c.
 */
#include "start/start.h"

    .code64

/* %rdi = struct boot_info *. */
    .section .text.start, "ax"
    .globl hv_start
    .type hv_start, @function
hv_start:
    cli
    cld
    mov $boot_stack_top, %rsp
    xor %ebp, %ebp
    push $0                     /* a return address of 0, which ends backtraces and aligns the stack as a call does */
    jmp hv_main
    .size hv_start, . - hv_start

/* void stack_enter(u64 top, void (*fn)(void)) */
    .section .text.stack_enter, "ax"
    .globl stack_enter
    .type stack_enter, @function
stack_enter:
    mov %rdi, %rsp
    xor %ebp, %ebp
    push $0
    jmp *%rsi
    .size stack_enter, . - stack_enter

    .section .bss.boot_stack, "aw", @nobits
    .balign 16
    .skip BOOT_STACK_SIZE
boot_stack_top:

    .section .note.GNU-stack, "", @progbits

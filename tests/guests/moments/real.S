/* SPDX-License-Identifier: BSD-2-Clause */
/* Real mode with segments that have bases, for as long as it takes. */
#include "tests/guests/kit/x86.h"
#include "tests/guests/moments/moments.h"
#include "config/guest_abi.h"

    .section .low
    .code16
    .globl real_until_q, real_turns

real_until_q:
    mov $REAL_SEGMENT, %ax
    mov %ax, %es
    mov $REAL_OTHER, %ax
    mov %ax, %fs
    xor %ebx, %ebx
    movl $0, real_turns
1:  incl real_turns
    mov real_turns, %eax
    mov %eax, %es:REAL_OFFSET
    cmp %fs:REAL_OTHER_OFFSET, %eax
    je 2f
    inc %ebx
2:  mov $GODWIT_CONSOLE_PORT + 5, %dx
    in (%dx), %al
    test $1, %al
    jz 1b
    mov $GODWIT_CONSOLE_PORT, %dx
    in (%dx), %al
    cmp $'q', %al
    jne 1b
    mov %ebx, %eax
    ret

    .align 4
real_turns:
    .long 0

    .section .note.GNU-stack, "", @progbits

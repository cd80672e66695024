/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done in real mode. Each function is called by real_call and proves one thing by its %eax. */
#include "tests/guests/kit/x86.h"
#include "tests/guests/modes/modes.h"
#include "config/guest_abi.h"

#define UART_SCRATCH (GODWIT_CONSOLE_PORT + 7)

    .section .low
    .code16
    .globl real_portrait, real_segments, real_int, real_divide, real_ports, real_outs, real_unreal, real_far

    /* As the 32-bit visits, with the width proved by a 16-bit increment that wraps. */
real_portrait:
    mov $real_visit, %si
    mov %cr0, %eax
    mov %eax, VISIT_CR0(%si)
    mov %cr4, %eax
    mov %eax, VISIT_CR4(%si)
    mov $MSR_EFER, %ecx
    rdmsr
    mov %eax, VISIT_EFER(%si)
    xor %eax, %eax
    mov %cs, %ax
    mov %eax, VISIT_CS(%si)
    mov $0x1ffff, %eax
    .byte 0x40                  /* inc %ax here, inc %eax in 32-bit code */
    mov %eax, VISIT_WIDTH(%si)
    xor %eax, %eax
    cpuid
    mov %ebx, VISIT_CPUID(%si)
    mov %edx, VISIT_CPUID + 4(%si)
    mov %ecx, VISIT_CPUID + 8(%si)
    ret

    /* One byte by two names: 1000:0234 and 1023:0004. */
real_segments:
    mov $0x1000, %ax
    mov %ax, %es
    mov $0x1023, %ax
    mov %ax, %fs
    movl $0, %es:0x234
    movw $REAL_ARITHMETIC, %fs:0x4
    movzwl %es:0x234, %eax
    ret

    /* A software interrupt through the table at 0. */
real_int:
    movw $1f, REAL_INT_VECTOR * 4
    movw $0, REAL_INT_VECTOR * 4 + 2
    xor %eax, %eax
    int $REAL_INT_VECTOR
    ret
1:  mov $REAL_INT_RESULT, %ax
    iret

    /* A fault through the same table: the frame names the DIV, which the handler steps over. */
real_divide:
    movw $1f, X86_DE * 4
    movw $0, X86_DE * 4 + 2
    xor %eax, %eax
    xor %edx, %edx
    xor %ecx, %ecx
2:  div %cx
    ret
1:  mov %sp, %bp
    cmpw $2b, (%bp)
    sete %al
    addw $2, (%bp)              /* the length of DIV */
    iret

    /* The scratch register of the serial port keeps what was written, byte by byte and as a string. */
real_ports:
    mov $UART_SCRATCH, %dx
    mov $0xA5, %al
    out %al, %dx
    xor %eax, %eax
    in %dx, %al
    mov %eax, %ebx
    mov $string_out, %si
    cld
    outsb
    mov $string_in, %di
    insb
    movzbl string_in, %eax
    shl $8, %eax
    or %ebx, %eax
    ret

    /* A line on the console, by REP OUTS with a segment of its own. */
real_outs:
    mov $(message - 0x8000), %si
    mov $0x800, %ax
    mov %ax, %ds
    mov $(message_end - message), %cx
    mov $GODWIT_CONSOLE_PORT, %dx
    cld
    rep outsb
    xor %ax, %ax
    mov %ax, %ds
    movzwl %cx, %eax
    ret

    /* Big real mode: a limit of 4 GiB, loaded in protected mode, stays with the segment; the image is in reach. */
real_unreal:
    mov %cr0, %eax
    or $CR0_PE, %al
    mov %eax, %cr0
    mov $KIT_DS, %bx
    mov %bx, %fs
    and $~CR0_PE, %al
    mov %eax, %cr0
    mov $real_far_target, %ebx
    mov %fs:(%ebx), %eax
    ret

    /* Far call and return, with CS other than 0: every step of the way counts. */
real_far:
    xor %eax, %eax
    lcall $0x800, $(1f - 0x8000)
    inc %ax
    ret
1:  push %cs
    pop %bx
    cmp $0x800, %bx
    jne 2f
    add $0x10, %ax
2:  lret

string_out:
    .byte 0x5A
string_in:
    .byte 0
message:
    .ascii "modes: real mode says hello\r\n"
message_end:
    .balign 4
    .globl real_visit
real_visit:
    .fill VISIT_SIZE, 1, 0

    .data
    .globl real_far_target
real_far_target:
    .long WINDOW_VALUE

    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A processor's first instructions after the start-up IPI: from real mode by 32-bit protected mode to the hypervisor
 * in long mode (SDM 3A "Initializing IA-32e Mode").
 *
 * Copied to a page below 1 MiB and entered at its first byte with CS = page / 16, so nothing here knows its own
 * address; the absolute ones are in the parameters. The page is never writable and executable in one mapping: once
 * paging is on it is read-only here.
 */
#include "host/trampoline.h"

#define CR0_PE 0x1
#define CR0_LONG 0x80010033     /* PG, WP, NE, ET, MP, PE */
#define CR4_PAE 0x20
#define MSR_EFER 0xC0000080
#define EFER_LONG 0x900         /* NXE, LME */
#define SELECTOR_DATA 0x18

#define PARAM(name) (TRAMPOLINE_PARAMS + PARAM_##name)

    .section .trampoline, "a"
    .balign 16
    .globl trampoline_start
trampoline_start:
    .code16
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds

    /* A processor that wakes after its start was given up must not take another processor's stack. */
    xor %eax, %eax
    xchg %eax, PARAM(TURN)
    test %eax, %eax
    jz 2f

    lgdtl PARAM(GDTR)
    movl PARAM(CR3), %edi
    xor %ebx, %ebx
    mov %ds, %bx
    shl $4, %ebx                /* %ebx = address of this page, up to the end */
    mov $CR0_PE, %eax
    mov %eax, %cr0
    ljmpl *PARAM(FAR32)
2:  hlt
    jmp 2b

    .code32
    .globl trampoline_32
trampoline_32:
    mov $SELECTOR_DATA, %ax
    mov %ax, %ds
    mov $CR4_PAE, %eax
    mov %eax, %cr4
    mov %edi, %cr3
    mov $MSR_EFER, %ecx
    xor %edx, %edx
    mov $EFER_LONG, %eax
    wrmsr
    mov $CR0_LONG, %eax
    mov %eax, %cr0
    ljmp *PARAM(FAR64)(%ebx)

    .code64
    .globl trampoline_64
trampoline_64:
    mov PARAM(STACK)(%rbx), %rsp
    mov PARAM(ARGUMENT)(%rbx), %rdi
    xor %ebp, %ebp
    push $0                     /* ends backtraces, and aligns the stack as a call does */
    jmp *PARAM(ENTRY)(%rbx)

    /* Accessed bits are preset: the processor then has nothing to write here. */
    .balign 8
    .globl trampoline_gdt, trampoline_gdt_end
trampoline_gdt:
    .quad 0
    .quad 0x00CF9B000000FFFF    /* 0x08: 32-bit code */
    .quad 0x00AF9B000000FFFF    /* 0x10: 64-bit code */
    .quad 0x00CF93000000FFFF    /* 0x18: data */
trampoline_gdt_end:

    .globl trampoline_end
trampoline_end:

    .section .note.GNU-stack, "", @progbits

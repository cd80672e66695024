/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs outside long mode: 32-bit protected mode with paging, and virtual-8086 mode. legacy_round is called by
 * protected_call; any exception or interrupt ends the program and comes back here, with its vector.
 */
#include "tests/guests/fuzz/fuzz.h"
#include "tests/guests/kit/x86.h"

    .macro load_kernel_segments
    mov $KIT_DS, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    mov %ecx, %ss
    mov %ecx, %fs
    mov %ecx, %gs
    .endm

    .text
    .code32
    .globl legacy_round, legacy_sysenter, legacy_stubs
legacy_round:
    mov %esp, saved_esp
    lidt idtr
    mov legacy_cr4, %eax
    mov %eax, %cr4
    mov $legacy_pd, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $CR0_PG, %eax
    mov %eax, %cr0
    mov $KIT_SCRATCH, %eax
    lldt %ax
    mov $LEGACY_TSS, %eax
    ltr %ax

    testl $EFLAGS_VM, legacy_current + LEGACY_EFLAGS
    jz 1f
    sub $36, %esp
    mov $9, %ecx
    jmp 2f
1:  mov legacy_current + LEGACY_ES, %es
    mov legacy_current + LEGACY_ES + 8, %fs
    mov legacy_current + LEGACY_ES + 12, %gs
    mov legacy_current + LEGACY_ES + 4, %ds
    sub $20, %esp
    mov $5, %ecx
2:  cld
3:  mov %ss:legacy_current + LEGACY_EIP - 4(, %ecx, 4), %eax
    mov %eax, %ss:-4(%esp, %ecx, 4)
    loop 3b
    mov %ss:legacy_current, %eax
    mov %ss:legacy_current + 4, %ecx
    mov %ss:legacy_current + 8, %edx
    mov %ss:legacy_current + 12, %ebx
    mov %ss:legacy_current + 20, %ebp
    mov %ss:legacy_current + 24, %esi
    mov %ss:legacy_current + 28, %edi
    iretl

legacy_sysenter:
    ud2

    .align KIT_STUB_SIZE
legacy_stubs:
    .set vector, 0
    .rept 256
    .align KIT_STUB_SIZE
    push $vector
    jmp legacy_trap
    .set vector, vector + 1
    .endr

legacy_trap:
    pop %eax
    load_kernel_segments
    mov %eax, legacy_vector
    mov saved_esp, %esp
    mov %cr0, %eax
    and $~CR0_PG, %eax
    mov %eax, %cr0
    ret

    .data
    .align 8
idtr:
    .word 256 * 8 - 1
    .long legacy_idt

    /* SDM 3A "Task-State Segment (TSS)": ESP0, SS0, where the I/O map is; before that, what VME redirects. */
    .globl legacy_tss, legacy_tss_end, legacy_io_map
    .align 8
legacy_tss:
    .long 0, legacy_stack_top, KIT_DS
    .fill 22, 4, 0
    .word 0, legacy_io_map - legacy_tss
    .fill 32, 1, 0x55
legacy_io_map:
    .fill 1024 / 8 + 1, 1, 0xff
legacy_tss_end:

    .bss
    .globl legacy_current, legacy_vector, legacy_cr4, legacy_pd, legacy_pt, legacy_idt, legacy_stack_top
    .align 4096
legacy_pd:
    .skip 4096
legacy_pt:
    .skip 4096
legacy_idt:
    .skip 2048
    .skip 1024
legacy_stack_top:
legacy_current:
    .skip 68
legacy_vector:
    .skip 4
legacy_cr4:
    .skip 4
saved_esp:
    .skip 4

    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way down from long mode and back: long -> compatibility -> protected without paging -> real, each step by the
 * rules of SDM 3A "Switching to Protected Mode", "IA-32e Mode Operation". State waits in memory: registers do not
 * survive as 64-bit values.
 */
#include "tests/guests/kit/x86.h"

    .macro save_registers
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    pushfq
    cli
    .endm

    .macro restore_registers
    popfq
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .endm

    .macro load_data_segments selector
    mov \selector, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    mov %ecx, %ss
    mov %ecx, %fs
    mov %ecx, %gs
    .endm

    .text
    .globl compat_call, protected_call, real_call

    .code64
compat_call:
    save_registers
    mov %rsp, saved_rsp
    push $KIT_CS32
    push $compat_entry
    lretq
    .code32
compat_entry:
    load_data_segments $KIT_DS
    call *%edi
    ljmp $KIT_CS64, $compat_back
    .code64
compat_back:
    mov saved_rsp, %rsp
    mov %eax, %eax
    restore_registers

protected_call:
    save_registers
    mov %rsp, saved_rsp
    mov %cr0, %rax
    mov %rax, saved_cr0
    mov %cr3, %rax
    mov %rax, saved_cr3
    mov %cr4, %rax
    mov %rax, saved_cr4
    mov $MSR_EFER, %ecx
    rdmsr
    mov %eax, saved_efer
    sidt saved_idtr
    lidt empty_idtr             /* before its gates mean something else */
    push $KIT_CS32
    push $protected_entry
    lretq
    .code32
protected_entry:
    load_data_segments $KIT_DS
    mov %cr0, %eax
    and $~CR0_PG, %eax
    mov %eax, %cr0
    mov $MSR_EFER, %ecx
    rdmsr
    and $~EFER_LME, %eax
    wrmsr
    call *%edi
    mov %eax, result
    mov saved_cr4, %eax         /* PAE, before LME and PG */
    mov %eax, %cr4
    mov saved_cr3, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    mov saved_efer, %eax
    wrmsr
    mov saved_cr0, %eax
    mov %eax, %cr0
    ljmp $KIT_CS64, $protected_back
    .code64
protected_back:
    mov saved_rsp, %rsp
    lidt saved_idtr
    mov result, %eax
    restore_registers

real_call:
    mov %edi, real_target
    mov $real_enter, %edi
    jmp protected_call

    .code32
real_enter:
    mov %esp, real_esp
    ljmp $KIT_CS16, $real_16bit

    .section .low, "awx", @progbits
    .code16
real_16bit:
    load_data_segments $KIT_DS16
    mov %cr0, %eax
    and $~CR0_PE, %eax
    mov %eax, %cr0
    ljmp $0, $1f
1:  xor %ecx, %ecx
    load_data_segments %ecx
    mov $real_stack_top, %esp
    lidt real_idtr
    call *real_target
    cli
    mov %eax, real_result
    xor %cx, %cx
    mov %cx, %ds
    mov %cr0, %eax
    or $CR0_PE, %eax
    mov %eax, %cr0
    ljmpl $KIT_CS32, $real_back

    .align 4
real_target:
    .long 0
real_result:
    .long 0
real_idtr:
    .word 0x3ff
    .long 0
    .skip 2048
real_stack_top:

    .text
    .code32
real_back:
    load_data_segments $KIT_DS
    mov real_esp, %esp
    lidt empty_idtr
    mov real_result, %eax
    ret

    .bss
    .align 8
saved_rsp:
    .quad 0
saved_cr0:
    .quad 0
saved_cr3:
    .quad 0
saved_cr4:
    .quad 0
saved_efer:
    .long 0
result:
    .long 0
real_esp:
    .long 0
saved_idtr:
    .skip 10
empty_idtr:
    .skip 10

    .section .note.GNU-stack, "", @progbits

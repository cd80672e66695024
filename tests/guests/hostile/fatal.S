/* SPDX-License-Identifier: BSD-2-Clause */
/* The attacks' pieces in the older modes. */
#include "tests/guests/kit/x86.h"

#define CR4_PAE_OFF ~CR4_PAE

    .text
    .code32
    .globl lme_without_pae, lme_paging_without_pae

    /* Called by protected_call. Exits while LME promises a long mode that CR4 could not enter. */
lme_without_pae:
    mov %cr4, %eax
    and $CR4_PAE_OFF, %eax
    mov %eax, %cr4
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov $50, %edi
1:  xor %eax, %eax
    cpuid
    in $0x80, %al
    dec %edi
    jnz 1b
    mov $MSR_EFER, %ecx
    rdmsr
    and $~EFER_LME, %eax
    wrmsr
    mov $0x600D, %eax
    ret

lme_paging_without_pae:
    call lme_without_pae
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov %cr0, %eax
    or $CR0_PG, %eax
    mov %eax, %cr0
    ret

    .code64
    .globl fast_call, fast_call_target, fast_call_stack
fast_call:
    push $(KIT_SCRATCH | 3)
    push $1f
    lretq
    .code32
1:  push $(RFLAGS_FIXED | RFLAGS_TF)
    popf
    sysenter
fast_call_target:
    hlt

    .bss
    .align 16
    .fill 512, 1, 0
fast_call_stack:

    .section .low, "awx", @progbits
    .code16
    .globl real_garbage
real_garbage:
    lidt no_idt
    ljmp $0x2000, $0
no_idt:
    .word 0
    .long 0

    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instruction sequences with an interrupt pending at the start. The label NAME_at is the only place at which it may
 * arrive: behind the one instruction that STI or MOV SS shields, whether that instruction makes an exit or not.
 */
#include "tests/guests/kit/x86.h"

    .macro window name
    .globl \name, \name\()_at
\name:
    .endm

    .text
    window window_nop
    sti
    nop
window_nop_at:
    nop
    ret

    window window_hlt
    sti
    hlt
window_hlt_at:
    nop
    ret

    window window_cpuid
    push %rbx
    xor %eax, %eax
    sti
    cpuid
window_cpuid_at:
    nop
    pop %rbx
    ret

    window window_port
    sti
    in $0x80, %al
window_port_at:
    nop
    ret

    window window_mmio
    sti
    mov (%rdi), %eax            /* a register of the LAPIC */
window_mmio_at:
    nop
    ret

    window window_popf
    push $(RFLAGS_FIXED | RFLAGS_IF)
    popf                        /* no shadow: at once */
window_popf_at:
    nop
    ret

    /* Here the shielded instruction raises the interrupt itself: %esi to the ICR at %rdi. */
    window window_mov_ss
    mov %ss, %eax
    sti
    nop
    nop
    mov %eax, %ss
    mov %esi, (%rdi)
window_mov_ss_at:
    nop
    ret

    .section .note.GNU-stack, "", @progbits

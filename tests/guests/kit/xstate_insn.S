/* SPDX-License-Identifier: BSD-2-Clause */
/* See xstate.h. */
    .text
    .globl vector_fxload, vector_fxstore, vector_xload, vector_xstore
    .globl vector_x87, vector_sse, vector_avx, vector_reset

vector_fxload:
    fxrstor64 (%rdi)
    ret

vector_fxstore:
    fxsave64 (%rdi)
    ret

    .macro mask_to_edx_eax
    mov %esi, %eax
    mov %rsi, %rdx
    shr $32, %rdx
    .endm

vector_xload:
    mask_to_edx_eax
    xrstor64 (%rdi)
    ret

vector_xstore:
    mask_to_edx_eax
    xsave64 (%rdi)
    ret

vector_x87:
    fld1
    fstp %st(0)
    ret

vector_sse:
    movaps %xmm0, %xmm0
    ret

vector_avx:
    vmovaps %ymm0, %ymm0
    ret

vector_reset:
    fninit
    push $0x1f80
    ldmxcsr (%rsp)
    pop %rax
    ret

    .section .note.GNU-stack, "", @progbits

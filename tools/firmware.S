/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands in the firmware in place of the PEI core (tools/firmware). It unpacks the volumes of the phases PEI and
 * DXE, which are LZ4 blocks, and goes on in the real PEI core, which is in the first of them. It runs where it lies, in
 * the flash.
 *
 * SEC calls it as it calls every PEI core, PI Specification, volume 1, "PEI Foundation Entry Point": in RCX are the
 * address of EFI_SEC_PEI_HAND_OFF, which says where the boot volume is, and in RDX that of the list of PPIs. The real
 * PEI core gets both. Nobody returns from here.
 */

#define HAND_OFF_VOLUME 8  /* BootFirmwareVolumeBase */
#define HAND_OFF_SIZE   16 /* BootFirmwareVolumeSize */

    .text
    .globl _start
_start:
    mov     %rcx, %r8
    mov     %rdx, %r9
    cld
    lea     blocks(%rip), %rsi
    call    unpack
    call    unpack
    mov     volume(%rip), %rax
    mov     %rax, HAND_OFF_VOLUME(%r8)
    mov     size(%rip), %rax
    mov     %rax, HAND_OFF_SIZE(%r8)
    mov     %r8, %rcx
    mov     %r9, %rdx
    jmp     *core(%rip)

/* Unpack the block at RSI; RSI is then behind it. Before its contents are two words: their place, their packed size.
   LZ4 Block Format Description: a block is sequences of literals and of a copy of what came out before. */
unpack:
    lodsl
    mov     %eax, %edi
    lodsl
    lea     (%rsi,%rax), %rbx       /* the end */
sequence:
    movzbl  (%rsi), %edx            /* the token: two lengths */
    inc     %rsi
    mov     %edx, %ecx
    shr     $4, %ecx
    call    length
    rep movsb
    cmp     %rbx, %rsi
    je      unpacked                /* the last sequence has literals only */
    movzwl  (%rsi), %r10d           /* how far back the copy begins */
    add     $2, %rsi
    mov     %edx, %ecx
    and     $15, %ecx
    call    length
    add     $4, %ecx
    mov     %rsi, %r11
    mov     %rdi, %rsi
    sub     %r10, %rsi
    rep movsb                       /* byte by byte: it may copy what it writes */
    mov     %r11, %rsi
    jmp     sequence
unpacked:
    ret

/* ECX, a length of the token; if it is 15, bytes at RSI are added, the first that is not 255 is the last one. */
length:
    cmp     $15, %ecx
    jne     2f
1:  movzbl  (%rsi), %eax
    inc     %rsi
    add     %eax, %ecx
    cmp     $255, %eax
    je      1b
2:  ret

/* What follows is written by tools/firmware: three words here, and behind them the two blocks. */
    .balign 8
core:   .quad 0                     /* the real PEI core's entry */
volume: .quad 0                     /* the volume of PEI, unpacked */
size:   .quad 0                     /* its size */
blocks:

/* SPDX-License-Identifier: BSD-2-Clause */
/* A further processor on its way from the start-up IPI, in real mode, to ap_main in long mode. */
#include "tests/guests/smp/smp.h"

    .section .low, "awx", @progbits
    .code16
    .globl ap_start
    .balign 4096
ap_start:
    /* Only CS is known: the data are found by it. Several processors may come at a time, so all is in registers. */
    or %ecx, %eax
    or %ebx, %eax
    or %esp, %eax
    or %ebp, %eax
    or %esi, %eax
    or %edi, %eax
    mov %eax, %esi              /* all registers */
    mov %cs, %bp
    mov %cr0, %edi
    lgdtl %cs:ap_gdtr - ap_start
    mov %cr0, %eax
    and $~(CR0_CD | CR0_NW), %eax
    or $CR0_PE, %eax
    mov %eax, %cr0
    ljmpl $KIT_CS32, $ap_protected
    .balign 4
ap_gdtr:
    .word KIT_GDT_SLOTS * 8 - 1
    .long kit_gdt

    .text
    .code32
ap_protected:
    mov $KIT_DS, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $1, %eax
    cpuid
    shr $24, %ebx               /* APIC id */
    lea 1(%ebx), %esp
    imul $STACK_SIZE, %esp
    add $ap_stacks, %esp
    movzwl %bp, %eax
    sub $ARRIVAL_SIZE, %esp
    mov %eax, ARRIVAL_CS(%esp)
    mov %esi, ARRIVAL_REGISTERS(%esp)
    mov %edi, ARRIVAL_CR0(%esp)
    mov %cr4, %eax
    mov %eax, ARRIVAL_CR4(%esp)
    mov $MSR_EFER, %ecx
    rdmsr
    mov %eax, ARRIVAL_EFER(%esp)
    mov $(CR4_PAE | CR4_OSFXSR), %eax
    mov %eax, %cr4
    mov $kit_pml4, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $(EFER_LME | EFER_NXE), %eax
    wrmsr
    mov $(CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_PE), %eax
    mov %eax, %cr0
    ljmp $KIT_CS64, $ap_long

    .code64
ap_long:
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov %ebx, %edi
    mov %esp, %esp
    mov %rsp, %rsi
    and $-16, %rsp
    xor %ebp, %ebp
    call ap_main
    ud2                         /* it never returns */

    .bss
    .balign 16
ap_stacks:
    .fill CPUS_MAX * STACK_SIZE, 1, 0

    .section .note.GNU-stack, "", @progbits

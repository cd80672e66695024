/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry by the PVH protocol: 32-bit protected mode, paging off, %ebx = struct hvm_start_info. From here to long mode on
 * static tables that map the low 4 GiB identically with 2 MiB pages; the last GiB, where devices live, uncached.
 */
#include "tests/guests/kit/x86.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18

    .section .note.Xen, "a", @note
    .align 4
    .long 4                     /* name size */
    .long 8                     /* descriptor size */
    .long XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

    .text
    .code32
    .globl pvh_entry
pvh_entry:
    rdtsc                       /* first of all: the time at which the guest began */
    mov %eax, boot_tsc
    mov %edx, boot_tsc + 4
    mov $boot_stack_top, %esp

    mov $CR4_PAE, %eax
    mov %eax, %cr4
    mov $kit_pml4, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $(EFER_LME | EFER_NXE), %eax
    wrmsr
    mov $(CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_PE), %eax
    mov %eax, %cr0
    lgdt gdtr
    ljmp $KIT_CS64, $long_mode

    .code64
long_mode:
    mov $KIT_DS, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov %ebx, %edi              /* kit_main(start info) */
    xor %ebp, %ebp
    call kit_main
    ud2                         /* it never returns */

    .data
    .globl boot_tsc, kit_gdt
    .align 8
boot_tsc:
    .quad 0
kit_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* KIT_CS32 */
    .quad 0x00af9b000000ffff    /* KIT_CS64 */
    .quad 0x00cf93000000ffff    /* KIT_DS */
    .quad 0x00cff3000000ffff    /* KIT_USER_DS */
    .quad 0x00affb000000ffff    /* KIT_USER_CS */
    .quad 0x00009b000000ffff    /* KIT_CS16 */
    .quad 0x000093000000ffff    /* KIT_DS16 */
    .quad 0, 0                  /* KIT_TSS, filled by trap_init */
    .quad 0, 0                  /* KIT_SCRATCH */
gdt_end:
gdtr:
    .word gdt_end - kit_gdt - 1
    .quad kit_gdt

    .globl kit_pml4
    .align 4096
kit_pml4:
    .quad pdpt + PTE_P + PTE_W + PTE_U
    .fill 511, 8, 0
pdpt:
    .quad pd + PTE_P + PTE_W + PTE_U
    .quad pd + 0x1000 + PTE_P + PTE_W + PTE_U
    .quad pd + 0x2000 + PTE_P + PTE_W + PTE_U
    .quad pd + 0x3000 + PTE_P + PTE_W + PTE_U
    .fill 508, 8, 0
    .set page, 0
pd:
    .rept 3 * 512
    .quad page + PTE_P + PTE_W + PTE_PS
    .set page, page + 0x200000
    .endr
    .rept 512
    .quad page + PTE_P + PTE_W + PTE_PS + PTE_PCD + PTE_PWT
    .set page, page + 0x200000
    .endr

    .bss
    .align 16
    .fill 32768, 1, 0
boot_stack_top:

    .section .note.GNU-stack, "", @progbits

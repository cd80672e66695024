/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is done in each 32-bit mode: take a portrait of the mode (struct visit) and prove paging, where there is any,
 * by reading `window` at an address that only these tables map.
 */
#include "tests/guests/kit/x86.h"
#include "tests/guests/modes/modes.h"

/* Two INCs of %eax in 32-bit code, of %ax in 16-bit code; in 64-bit code two REX prefixes without effect. */
#define INC_EAX_TWICE .byte 0x40, 0x40

    .text
    .code32
    .globl compat_visit, protected_visit, paging32_visit, pae_visit

compat_visit:
    mov $visit, %esi
    jmp portrait_user_visible

protected_visit:
    mov $visit, %esi
portrait:
    mov %cr0, %eax
    mov %eax, VISIT_CR0(%esi)
    mov %cr4, %eax
    mov %eax, VISIT_CR4(%esi)
portrait_user_visible:
    mov $MSR_EFER, %ecx
    rdmsr
    mov %eax, VISIT_EFER(%esi)
    xor %eax, %eax
    mov %cs, %eax
    mov %eax, VISIT_CS(%esi)
    mov $0x1ffff, %eax
    INC_EAX_TWICE
    mov %eax, VISIT_WIDTH(%esi)
    xor %eax, %eax
    cpuid
    mov %ebx, VISIT_CPUID(%esi)
    mov %edx, VISIT_CPUID + 4(%esi)
    mov %ecx, VISIT_CPUID + 8(%esi)
    ret

    /* Two-level tables: 4 MiB pages for the image, one 4 KiB page for the window. */
paging32_visit:
    mov $CR4_PSE, %eax
    mov %eax, %cr4
    mov $directory32, %eax
    jmp paged_visit

    /* Three-level tables: 2 MiB pages for the image, one 4 KiB page for the window. */
pae_visit:
    mov $CR4_PAE, %eax
    mov %eax, %cr4
    mov $directory_pointers, %eax

paged_visit:
    mov %eax, %cr3
    mov %cr0, %eax
    or $CR0_PG, %eax
    mov %eax, %cr0
    jmp 1f
1:  mov $visit, %esi
    call portrait
    mov WINDOW_ADDRESS, %eax    /* what C left in the window ... */
    mov %eax, VISIT_RESULT(%esi)
    notl WINDOW_ADDRESS         /* ... and what it is to find there */
    mov %cr4, %eax              /* under PAE this loads the top entries again, which are in use now */
    xor $CR4_PGE, %eax
    mov %eax, %cr4
    mov %cr0, %eax
    and $~CR0_PG, %eax
    mov %eax, %cr0
    ret

    .data
    .balign 4096
directory32:
    .long PTE_P + PTE_W + PTE_PS
    .fill (WINDOW_ADDRESS >> 22) - 1, 4, 0
    .long table32 + PTE_P + PTE_W
    .fill 1023 - (WINDOW_ADDRESS >> 22), 4, 0
table32:
    .long window + PTE_P + PTE_W
    .fill 1023, 4, 0

directory:
    .quad PTE_P + PTE_W + PTE_PS
    .fill 511, 8, 0
directory_window:
    .quad table + PTE_P + PTE_W
    .fill 511, 8, 0
table:
    .quad window + PTE_P + PTE_W
    .fill 511, 8, 0
directory_pointers:
    .quad directory + PTE_P
    .quad directory_window + PTE_P
    .quad 0, 0

    .globl window, visit
    .balign 4096
window:
    .long WINDOW_VALUE
    .fill 1023, 4, 0
visit:
    .fill VISIT_SIZE, 1, 0

    .section .note.GNU-stack, "", @progbits

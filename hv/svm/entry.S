/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svm_enter(rdi: regs, rsi: VMCB, rdx: host area), the latter two physical -> eax: NO_FAULT or a vector. Called and
 * left with GIF = 0, so nothing interrupts the stretches where host code runs on guest values of GS, TR and the general
 * registers; but VMLOAD and VMRUN themselves may fault there.
 *
 * VMRUN itself switches RIP, RSP, RAX, RFLAGS, control registers and CS, SS, DS, ES, GDTR, IDTR (APM 2 "VMRUN");
 * VMLOAD and VMSAVE the rest of the segment state and the syscall MSRs.
 */
#include "host/fixup.h"
#include "hv/entry_regs.h"

    .section .text.svm_enter, "ax", @progbits
    .globl svm_enter
    .type svm_enter, @function
svm_enter:
    host_regs_push
    pushq %rdi
    pushq %rdx
    movq %rsi, %rax

    /*
     * With V_INTR_MASKING it is the host's IF at VMRUN that lets a physical interrupt end the guest's run. GIF = 0
     * keeps it from us meanwhile. The loads below keep the one-instruction shadow of STI away from VMRUN: QEMU 7.2
     * would carry it into the guest.
     */
    sti
    guest_regs_load

1:  vmload %rax
    .globl svm_enter_vmrun
svm_enter_vmrun:
    vmrun %rax
    FIXUP(1b, svm_enter_refused)
    FIXUP(svm_enter_vmrun, svm_enter_refused)
    vmsave %rax

    /* The exit restored RFLAGS with IF = 1 and cleared GIF: close IF again before the caller opens GIF. */
    cli
    pushq %rdi
    movq 16(%rsp), %rdi
    guest_regs_store
    movl $-1, %edx              /* NO_FAULT */
2:  popq %rax
    vmload %rax
    movl %edx, %eax
    popq %rdi
    host_regs_pop
    ret

    /* The guest's registers are in memory as they were. */
svm_enter_refused:
    cli
    movl %eax, %edx
    jmp 2b
    .size svm_enter, . - svm_enter

    .section .note.GNU-stack, "", @progbits

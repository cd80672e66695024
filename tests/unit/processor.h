/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A processor for code of the hypervisor that runs on this machine as a program. Privileged instructions trap there,
 * and the functions below do what a processor does: as a hypervisor does it for its guest.
 */
#pragma once

#include "host/cpu.h"

struct processor {
    void (*sleeps)(void);           /* STI; HLT: returns when an interrupt has woken it */
    void (*takes_interrupts)(void); /* STI in any other place */
    u64 tsc_aux, xcr0;              /* what WRMSR and XSETBV have written last */
    u64 cr4;                        /* what MOV from CR4 reads */
    bool gif;                       /* AMD-V's global interrupt flag: STGI and CLGI */
    u64 dr6;                        /* MOV from and to DR6 */
    unsigned nmis;                  /* INT 2, by which the host takes an NMI */
    u8 (*in)(u16 port);             /* IN and OUT of a byte */
    void (*out)(u16 port, u8 value);
    u64 *(*vmcs)(u32 field); /* where VMREAD and VMWRITE, of registers, find a field */
};

extern struct processor processor;

/* From now on this_cpu() is `cpu`, and the instructions go to `processor`, whose fields are the caller's to set. A NULL
 * function does nothing. */
void processor_run_as(struct cpu *cpu);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Not saved and restored here: the vcpu's state goes where it goes when another vcpu takes the CPU, once for all that
 * the host loop does before that vcpu's next turn. CR0.TS and CR0.EM are clear and CR4.OSFXSR is set in the host
 * (host/cpu.c), whatever a guest's control registers say. Handlers of NMIs and interrupts use no vector register.
 */
#include "host/fpu.h"

#include "host/asm.h"
#include "host/cpu.h"
#include "host/panic.h"
#include "host/x86.h"

static u64 xcr0;
static void (*put_down)(void);

void fpu_init(u64 components, void (*clear)(void))
{
    xcr0 = components;
    put_down = clear;
}

bool fpu_has_avx(void)
{
    return xcr0 & XCR0_AVX;
}

void fpu_begin(void)
{
    struct cpu *cpu = this_cpu();

    assert(put_down && !cpu->running && !cpu->in_fpu);
    cpu->in_fpu = true;
    if (cpu->resident)
        put_down();
    /* A vcpu whose state the processor refused may have left its own. */
    if (xcr0 && xgetbv(0) != xcr0)
        xsetbv_guest(0, xcr0); /* resident_init has seen that it is taken */
}

void fpu_end(void)
{
    struct cpu *cpu = this_cpu();

    assert(cpu->in_fpu);
    cpu->in_fpu = false;
}

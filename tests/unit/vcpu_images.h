/* SPDX-License-Identifier: BSD-2-Clause */
/* Images of vcpus that a processor can hold, and the limits of a policy in which they fit. */
#pragma once

#include <string.h>

#include "host/bits.h"
#include "stream/vcpu_image.h"

static const u32 stored[] = { 0x2FF, 0x3B };
static const struct vcpu_limits limits = {
    .cr4 = CR4_PSE | CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_VME,
    .efer = EFER_SCE | EFER_LME | EFER_NXE,
    .xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX,
    .maxphyaddr = 40,
    .component[2] = { .offset = 576, .size = 256 },
    .msr = stored,
    .msrs = ARRAY_SIZE(stored),
};

static inline void common(struct vcpu_image *image)
{
    u64 bv = 7;
    u32 mxcsr = 0x1F80;

    memset(image, 0, sizeof(*image));
    for (unsigned i = 0; i < NR_GPRS; i++)
        image->regs[i] = 0x0111111111111111ULL * i;
    image->rflags = RFLAGS_FIXED1 | RFLAGS_IF;
    image->tsc_khz = 2400000;
    image->tsc = 123456789;
    image->xcr0 = 7;
    for (unsigned i = 0; i < 832; i++)
        image->xsave[i] = i < 512 || i >= 576 ? i * 7 : 0;
    memcpy(image->xsave + 512, &bv, sizeof(bv));
    memcpy(image->xsave + 24, &mxcsr, sizeof(mxcsr));
    image->msrs = 2;
    image->msr[0] = (struct msr_value){ 0x2FF, 0xC06 };
    image->msr[1] = (struct msr_value){ 0x3B, 5 };
    image->state.pat = 0x0007040600070406;
    image->state.dr6 = DR6_RESET;
    image->state.dr7 = DR7_RESET;
}

static inline void real_mode(struct vcpu_image *image)
{
    common(image);
    image->state.cr0 = CR0_ET | CR0_NW | CR0_CD;
    for (unsigned i = SEG_ES; i <= SEG_GS; i++)
        image->state.seg[i] = (struct segment){ .attr = i == SEG_CS ? 0x9B : 0x93, .limit = 0xFFFF };
    image->state.seg[SEG_CS].selector = 0xF000;
    image->state.seg[SEG_CS].base = 0xFFFF0000;
    image->state.seg[SEG_LDTR] = (struct segment){ .attr = 0x82, .limit = 0xFFFF };
    image->state.seg[SEG_TR] = (struct segment){ .attr = 0x8B, .limit = 0xFFFF };
    image->rip = 0xFFF0;
}

static inline void long_mode(struct vcpu_image *image)
{
    real_mode(image);
    image->state.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
    image->state.cr4 = CR4_PAE | CR4_PGE | CR4_OSXSAVE;
    image->state.efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    image->state.cr3 = 0x123000;
    image->state.seg[SEG_CS] = (struct segment){ .selector = 0x10, .attr = 0xA09B, .limit = ~0u };
    image->state.syscall.lstar = 0xFFFFFFFF81000000;
    image->state.seg[SEG_GS].base = 0xFFFF888000000000;
    image->rip = 0xFFFFFFFF81234567;
    image->event = (struct event){ .valid = true, .type = EVENT_EXCEPTION, .vector = VECTOR_PF, .has_error = true };
    image->nmi_blocked = true;
    image->status = VCPU_HALTED;
}

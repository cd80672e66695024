/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The complete state of a virtual processor as a section of the stream ("vcpu"): everything that lives neither in
 * memory nor in a device. Pure: the caller copies the state out of a stopped struct vcpu and back
 * (docs/migration-stream.md "State").
 *
 * A state that arrives is judged before it touches a processor. What a VM entry, XRSTOR or WRMSR would refuse is
 * refused here, with a reason, so that a bad stream costs the attempt and never leads to a failed entry.
 */
#pragma once

#include "dev/codec.h"
#include "hv/vcpu.h"
#include "hv/vcpu_state.h"

#define VCPU_IMAGE_MSRS 64
#define VCPU_IMAGE_COMPONENTS 16
#define VCPU_IMAGE_XSAVE 4096

struct msr_value {
    u32 index;
    u64 value;
};

struct vcpu_image {
    struct vcpu_state state; /* all groups */
    u64 regs[NR_GPRS];
    u64 rip, rflags, cr2;
    u32 shadow; /* enum shadow */
    bool nmi_blocked, nmi_pending;
    struct event event;
    u32 status; /* enum vcpu_status */
    u64 dr[4], tsc_aux, xcr0;
    u64 tsc;     /* the guest's counter when it stopped */
    u64 tsc_khz; /* its frequency */
    u32 msrs;
    struct msr_value msr[VCPU_IMAGE_MSRS];  /* stored MSRs (hv/msr.c) */
    _Alignas(8) u8 xsave[VCPU_IMAGE_XSAVE]; /* standard format, header included */
};

/* What the CPUID policy lets the guest have here. */
struct vcpu_limits {
    u64 cr4, efer, xcr0; /* bits that may be set */
    u8 maxphyaddr;
    struct {
        u32 offset, size;
    } component[VCPU_IMAGE_COMPONENTS]; /* in XSAVE's standard format, from component 2 on; size 0: unknown */
    const u32 *msr;                     /* MSRs that are stored here */
    u32 msrs;
};

/*
 * The section of vcpu `id`, saved or restored. -ENOTSUP: another version; -EINVAL: the section breaks off, or holds
 * what no processor of this policy can hold. After an error the image is void.
 */
void vcpu_image_state(struct vcpu_image *image, u32 id, const struct vcpu_limits *limits, struct codec *c);

/* Judge an image alone: returns NULL if a processor of this policy can hold it, else the reason why not. */
const char *vcpu_image_check(const struct vcpu_image *image, u32 id, const struct vcpu_limits *limits);

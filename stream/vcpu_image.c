/* SPDX-License-Identifier: BSD-2-Clause */
/* The fields of the section in their order. */
#include "stream/vcpu_image.h"

#include <string.h>

#include "host/bits.h"

#define VCPU_IMAGE_VERSION 1

/* SDM 1 "XSAVE-Managed State": legacy region, then the header, then the components. */
#define XSAVE_LEGACY 512
#define XSAVE_BV 512
#define XSAVE_HEADER_END 576

static u64 xstate_bv(const struct vcpu_image *image)
{
    u64 bv;

    memcpy(&bv, image->xsave + XSAVE_BV, sizeof(bv));
    return bv;
}

static bool component_known(const struct vcpu_limits *limits, u32 i)
{
    u32 offset = limits->component[i].offset, size = limits->component[i].size;

    return size && offset >= XSAVE_HEADER_END && offset <= VCPU_IMAGE_XSAVE && size <= VCPU_IMAGE_XSAVE - offset;
}

/* Component by component, since each processor puts them at offsets of its own; behind the last one stands a 0. */
static void xsave_state(struct vcpu_image *image, const struct vcpu_limits *limits, struct codec *c)
{
    u64 bv = xstate_bv(image), moved = XCR0_X87 | XCR0_SSE;
    u32 end = 0;

    codec_u64(c, &bv);
    codec_bytes(c, image->xsave, XSAVE_LEGACY);
    for (u32 i = 2; i < VCPU_IMAGE_COMPONENTS; i++) {
        u32 component = i, size = limits->component[i].size;

        if (!(bv & BIT(i)) || !component_known(limits, i))
            continue;
        codec_u32(c, &component);
        codec_u32(c, &size);
        codec_judge(c, component == i && size == limits->component[i].size,
                    "XSAVE component missing, or of another size");
        codec_bytes(c, image->xsave + limits->component[i].offset, limits->component[i].size);
        moved |= BIT(i);
    }
    codec_u32(c, &end);
    codec_judge(c, !end, "XSAVE component unknown there");
    if (codec_judge(c, !(bv & ~moved), "XSAVE component missing"))
        memcpy(image->xsave + XSAVE_BV, &bv, sizeof(bv));
}

static void registers_state(struct vcpu_state *s, struct codec *c)
{
    codec_u64(c, &s->cr0);
    codec_u64(c, &s->cr3);
    codec_u64(c, &s->cr4);
    codec_u64(c, &s->efer);
    for (unsigned i = 0; i < ARRAY_SIZE(s->pdpte); i++)
        codec_u64(c, &s->pdpte[i]);
    codec_u64(c, &s->syscall.star);
    codec_u64(c, &s->syscall.lstar);
    codec_u64(c, &s->syscall.cstar);
    codec_u64(c, &s->syscall.fmask);
    codec_u64(c, &s->syscall.kernel_gs_base);
    codec_u64(c, &s->sysenter.cs);
    codec_u64(c, &s->sysenter.esp);
    codec_u64(c, &s->sysenter.eip);
    codec_u64(c, &s->pat);
    codec_u64(c, &s->dr6);
    codec_u64(c, &s->dr7);
    for (unsigned i = 0; i < NR_SEGS; i++) {
        codec_u16(c, &s->seg[i].selector);
        codec_u32(c, &s->seg[i].attr);
        codec_u32(c, &s->seg[i].limit);
        codec_u64(c, &s->seg[i].base);
    }
    codec_u16(c, &s->gdtr.limit);
    codec_u64(c, &s->gdtr.base);
    codec_u16(c, &s->idtr.limit);
    codec_u64(c, &s->idtr.base);
}

static void event_state(struct event *event, struct codec *c)
{
    codec_bool(c, &event->valid);
    codec_u8(c, &event->type);
    codec_u8(c, &event->vector);
    codec_bool(c, &event->has_error);
    codec_u32(c, &event->error);
    codec_u8(c, &event->len);
}

static void msrs_state(struct vcpu_image *image, struct codec *c)
{
    codec_u32(c, &image->msrs);
    codec_judge(c, image->msrs <= VCPU_IMAGE_MSRS, "too many MSRs");
    for (u32 i = 0; i < image->msrs && !c->err; i++) {
        codec_u32(c, &image->msr[i].index);
        codec_u64(c, &image->msr[i].value);
    }
}

void vcpu_image_state(struct vcpu_image *image, u32 id, const struct vcpu_limits *limits, struct codec *c)
{
    const char *why;

    if (c->restoring)
        memset(image, 0, sizeof(*image));
    codec_version(c, VCPU_IMAGE_VERSION);
    registers_state(&image->state, c);
    for (unsigned i = 0; i < NR_GPRS; i++)
        codec_u64(c, &image->regs[i]);
    codec_u64(c, &image->rip);
    codec_u64(c, &image->rflags);
    codec_u64(c, &image->cr2);
    codec_u32(c, &image->shadow);
    codec_bool(c, &image->nmi_blocked);
    codec_bool(c, &image->nmi_pending);
    event_state(&image->event, c);
    codec_u32(c, &image->status);
    for (unsigned i = 0; i < ARRAY_SIZE(image->dr); i++)
        codec_u64(c, &image->dr[i]);
    codec_u64(c, &image->tsc_aux);
    codec_u64(c, &image->xcr0);
    codec_u64(c, &image->tsc);
    codec_u64(c, &image->tsc_khz);
    msrs_state(image, c);
    xsave_state(image, limits, c);
    why = codec_restored(c) ? vcpu_image_check(image, id, limits) : NULL;
    codec_judge(c, !why, why);
}

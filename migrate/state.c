/* SPDX-License-Identifier: BSD-2-Clause */
/* The fields of the section in their order. put_image and get_image mirror each other line by line. */
#include "migrate/state.h"

#include <errno.h>
#include <string.h>

#include "host/bits.h"

#define STATE_VERSION 1

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

static bool component_known(const struct state_limits *limits, u32 i)
{
    u32 offset = limits->component[i].offset, size = limits->component[i].size;

    return size && offset >= XSAVE_HEADER_END && offset <= STATE_XSAVE_BYTES && size <= STATE_XSAVE_BYTES - offset;
}

/* Write component by component, since each processor puts them at offsets of its own. */
static void put_xsave(const struct vcpu_image *image, const struct state_limits *limits, struct writer *w)
{
    u64 bv = xstate_bv(image);

    put_u64(w, bv);
    put_bytes(w, image->xsave, XSAVE_LEGACY);
    for (u32 i = 2; i < STATE_XSAVE_COMPONENTS; i++)
        if ((bv & BIT(i)) && component_known(limits, i)) {
            put_u32(w, i);
            put_u32(w, limits->component[i].size);
            put_bytes(w, image->xsave + limits->component[i].offset, limits->component[i].size);
        }
    put_u32(w, 0);
}

/* Read the components. Returns NULL, or what is wrong. */
static const char *get_xsave(struct vcpu_image *image, const struct state_limits *limits, struct reader *r)
{
    u64 bv = get_u64(r), got = bv & 3;

    memset(image->xsave, 0, sizeof(image->xsave));
    get_bytes(r, image->xsave, XSAVE_LEGACY);
    for (;;) {
        u32 i = get_u32(r), size = i ? get_u32(r) : 0;

        if (!i)
            break;
        if (i >= STATE_XSAVE_COMPONENTS || !(bv & BIT(i)) || (got & BIT(i)) || !component_known(limits, i) ||
            size != limits->component[i].size)
            return "XSAVE component unknown here, or of another size";
        get_bytes(r, image->xsave + limits->component[i].offset, size);
        got |= BIT(i);
    }
    if (got != bv)
        return "XSAVE component missing";
    memcpy(image->xsave + XSAVE_BV, &bv, sizeof(bv));
    return NULL;
}

static void put_state(const struct vcpu_state *s, struct writer *w)
{
    const u64 words[] = {
        s->cr0,          s->cr3,          s->cr4,   s->efer,  s->pdpte[0], s->pdpte[1],       s->pdpte[2],
        s->pdpte[3],     s->star,         s->lstar, s->cstar, s->fmask,    s->kernel_gs_base, s->sysenter_cs,
        s->sysenter_esp, s->sysenter_eip, s->pat,   s->dr6,   s->dr7
    };

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        put_u64(w, words[i]);
    for (unsigned i = 0; i < NR_SEGS; i++) {
        put_u16(w, s->seg[i].selector);
        put_u32(w, s->seg[i].attr);
        put_u32(w, s->seg[i].limit);
        put_u64(w, s->seg[i].base);
    }
    put_u16(w, s->gdtr.limit);
    put_u64(w, s->gdtr.base);
    put_u16(w, s->idtr.limit);
    put_u64(w, s->idtr.base);
}

static void get_state(struct vcpu_state *s, struct reader *r)
{
    u64 *const words[] = {
        &s->cr0,          &s->cr3,          &s->cr4,   &s->efer,  &s->pdpte[0], &s->pdpte[1],       &s->pdpte[2],
        &s->pdpte[3],     &s->star,         &s->lstar, &s->cstar, &s->fmask,    &s->kernel_gs_base, &s->sysenter_cs,
        &s->sysenter_esp, &s->sysenter_eip, &s->pat,   &s->dr6,   &s->dr7
    };

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        *words[i] = get_u64(r);
    for (unsigned i = 0; i < NR_SEGS; i++) {
        s->seg[i].selector = get_u16(r);
        s->seg[i].attr = get_u32(r);
        s->seg[i].limit = get_u32(r);
        s->seg[i].base = get_u64(r);
    }
    s->gdtr.limit = get_u16(r);
    s->gdtr.base = get_u64(r);
    s->idtr.limit = get_u16(r);
    s->idtr.base = get_u64(r);
}

static void put_event(const struct event *event, struct writer *w)
{
    put_u8(w, event->valid);
    put_u8(w, event->type);
    put_u8(w, event->vector);
    put_u8(w, event->has_error);
    put_u32(w, event->error);
    put_u8(w, event->len);
}

/* Read a flag; one that is neither 0 nor 1 sets *good to false. */
static bool get_bool(struct reader *r, bool *good)
{
    u8 value = get_u8(r);

    *good &= value <= 1;
    return value;
}

static void get_event(struct event *event, struct reader *r, bool *good)
{
    event->valid = get_bool(r, good);
    event->type = get_u8(r);
    event->vector = get_u8(r);
    event->has_error = get_bool(r, good);
    event->error = get_u32(r);
    event->len = get_u8(r);
}

void state_encode(const struct vcpu_image *image, const struct state_limits *limits, struct writer *w)
{
    put_u16(w, STATE_VERSION);
    put_state(&image->state, w);
    for (unsigned i = 0; i < NR_GPRS; i++)
        put_u64(w, image->regs[i]);
    put_u64(w, image->rip);
    put_u64(w, image->rflags);
    put_u64(w, image->cr2);
    put_u32(w, image->shadow);
    put_u8(w, image->nmi_blocked);
    put_u8(w, image->nmi_pending);
    put_event(&image->event, w);
    put_u32(w, image->status);
    for (unsigned i = 0; i < 4; i++)
        put_u64(w, image->dr[i]);
    put_u64(w, image->tsc_aux);
    put_u64(w, image->xcr0);
    put_u64(w, image->tsc);
    put_u64(w, image->tsc_khz);
    put_u32(w, image->msrs);
    for (u32 i = 0; i < image->msrs; i++) {
        put_u32(w, image->msr[i].index);
        put_u64(w, image->msr[i].value);
    }
    put_xsave(image, limits, w);
}

/* Read all fields behind the version. Returns NULL, or what is wrong with their form. */
static const char *get_image(struct vcpu_image *image, const struct state_limits *limits, struct reader *r)
{
    bool good = true;

    get_state(&image->state, r);
    for (unsigned i = 0; i < NR_GPRS; i++)
        image->regs[i] = get_u64(r);
    image->rip = get_u64(r);
    image->rflags = get_u64(r);
    image->cr2 = get_u64(r);
    image->shadow = get_u32(r);
    image->nmi_blocked = get_bool(r, &good);
    image->nmi_pending = get_bool(r, &good);
    get_event(&image->event, r, &good);
    image->status = get_u32(r);
    for (unsigned i = 0; i < 4; i++)
        image->dr[i] = get_u64(r);
    image->tsc_aux = get_u64(r);
    image->xcr0 = get_u64(r);
    image->tsc = get_u64(r);
    image->tsc_khz = get_u64(r);
    image->msrs = get_u32(r);
    if (!good)
        return "a flag is neither 0 nor 1";
    if (image->msrs > STATE_MSR_COUNT)
        return "too many MSRs";
    for (u32 i = 0; i < image->msrs; i++) {
        image->msr[i].index = get_u32(r);
        image->msr[i].value = get_u64(r);
    }
    return get_xsave(image, limits, r);
}

int state_decode(struct vcpu_image *image, u32 id, const struct state_limits *limits, struct reader *r,
                 const char **why)
{
    int err = get_version(r, STATE_VERSION);

    *why = "version of the vcpu's state";
    if (err)
        return err;
    memset(image, 0, sizeof(*image));
    *why = get_image(image, limits, r);
    if (r->truncated)
        *why = "the vcpu's state breaks off";
    if (!*why)
        *why = state_check(image, id, limits);
    return *why ? -EINVAL : 0;
}

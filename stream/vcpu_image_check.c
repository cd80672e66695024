/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a processor can hold, for images that come from a peer: SDM 3C "VM Entries", "Checks on the Guest State Area",
 * and APM 2 "Canonicalization and Consistency Checks". The stricter of both holds, because VT-x and AMD-V are entered
 * with the same image.
 */
#include "hv/cpuid.h"
#include "hv/guest_tsc.h"
#include "host/bits.h"
#include "stream/vcpu_image.h"
#include "mm/guest_walk.h"

#define CR0_BITS (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define RFLAGS_BITS (BITS(21, 14) | BITS(13, 6) | BIT(4) | BIT(2) | BIT(1) | BIT(0))
#define RFLAGS_ZERO BIT(15)
#define DR6_ZERO (BITS(63, 32) | BIT(12))
#define DR7_ZERO (BITS(63, 32) | BITS(15, 14) | BIT(12))
#define SEG_ZERO (BITS(31, 17) | BITS(11, 8))
#define SEG_CODE BIT(3)
#define TYPE_ACCESSED 1u /* not every processor reports it */

static bool canonical(u64 address)
{
    return (u64)((s64)(address << 16) >> 16) == address;
}

static bool flat_mode(const struct vcpu_state *s, bool *long_code)
{
    *long_code = (s->efer & EFER_LMA) && (s->seg[SEG_CS].attr & SEG_L);
    return s->cr0 & CR0_PE;
}

static const char *check_cr(const struct vcpu_state *s, const struct vcpu_limits *limits)
{
    bool paging = s->cr0 & CR0_PG, lma = s->efer & EFER_LMA;
    u64 physical = BITS(limits->maxphyaddr - 1, 0);

    if (s->cr0 & ~CR0_BITS)
        return "CR0: reserved bits";
    if (paging && !(s->cr0 & CR0_PE))
        return "CR0: paging without protection";
    if ((s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD))
        return "CR0: NW without CD";
    if (s->cr4 & ~limits->cr4)
        return "CR4: bits that this processor or policy lacks";
    if (s->efer & ~(limits->efer | EFER_LMA))
        return "EFER: bits that this processor or policy lacks";
    if (lma != (paging && (s->efer & EFER_LME)))
        return "EFER: LMA is not LME and paging";
    if (lma && !(s->cr4 & CR4_PAE))
        return "long mode without PAE";
    if ((s->cr4 & CR4_PCIDE) && !lma)
        return "PCIDs outside long mode";
    if (s->cr3 & ~physical)
        return "CR3: beyond physical addresses";
    for (unsigned i = 0; i < 4 && state_has_pdptes(s); i++)
        if ((s->pdpte[i] & PTE_P) && (s->pdpte[i] & (~physical | GUEST_PDPTE_RESERVED)))
            return "PDPTE: reserved bits";
    return NULL;
}

static bool usable(const struct segment *segment)
{
    return !(segment->attr & SEG_UNUSABLE) && (segment->attr & SEG_P);
}

static const char *check_v86(const struct vcpu_state *s)
{
    for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
        const struct segment *segment = &s->seg[i];

        if (segment->base != (u64)segment->selector << 4 || segment->limit != 0xFFFF || (segment->attr & 0xFE) != 0xF2)
            return "a segment is not virtual-8086 mode's";
    }
    return NULL;
}

static const char *check_code(const struct vcpu_state *s)
{
    const struct segment *cs = &s->seg[SEG_CS];
    u32 type = cs->attr & SEG_TYPE;

    if (!usable(cs) || !(cs->attr & SEG_S))
        return "CS: unusable";
    /* Real mode leaves a writable data type in CS; in protected mode CS may hold only code. */
    if (!(type & SEG_CODE) && (s->cr0 & CR0_PE) && ((type & ~TYPE_ACCESSED) != 2 || (s->efer & EFER_LMA)))
        return "CS: no code segment";
    if ((s->efer & EFER_LMA) && (cs->attr & SEG_L) && (cs->attr & SEG_DB))
        return "CS: both 64-bit and 32-bit";
    return NULL;
}

static const char *check_segments(const struct vcpu_state *s, u64 rflags)
{
    bool lma = s->efer & EFER_LMA;
    u32 tr = s->seg[SEG_TR].attr & SEG_TYPE, ldt = s->seg[SEG_LDTR].attr & SEG_TYPE;

    for (unsigned i = 0; i < NR_SEGS; i++) {
        const struct segment *segment = &s->seg[i];
        bool wide = i == SEG_FS || i == SEG_GS || i == SEG_TR || i == SEG_LDTR;

        if (segment->attr & SEG_ZERO)
            return "segment: reserved attributes";
        if (!canonical(segment->base) || (!wide && usable(segment) && segment->base >> 32))
            return "segment: base";
    }
    if (!canonical(s->gdtr.base) || !canonical(s->idtr.base))
        return "GDTR or IDTR: base";
    if ((s->seg[SEG_TR].attr & (SEG_S | SEG_UNUSABLE)) || ((tr & 7) != 3 && (tr & 7) != 1))
        return "TR: no task state segment";
    if (lma && (tr & ~2u) != 9)
        return "TR: no 64-bit task state segment";
    if (usable(&s->seg[SEG_LDTR]) && ((s->seg[SEG_LDTR].attr & SEG_S) || ldt != 2))
        return "LDTR: no local descriptor table";
    if (rflags & RFLAGS_VM)
        return check_v86(s);
    return check_code(s);
}

static const char *check_flow(const struct vcpu_image *image)
{
    bool long_code, protected_mode = flat_mode(&image->state, &long_code);

    if ((image->rflags & ~RFLAGS_BITS) || (image->rflags & RFLAGS_ZERO) || !(image->rflags & RFLAGS_FIXED1))
        return "RFLAGS: reserved bits";
    if ((image->rflags & RFLAGS_VM) && (!protected_mode || (image->state.efer & EFER_LMA)))
        return "RFLAGS: virtual-8086 mode here";
    if (long_code ? !canonical(image->rip) : image->rip >> 32 != 0)
        return "RIP";
    if (image->shadow > SHADOW_MOV_SS || (image->shadow == SHADOW_STI && !(image->rflags & RFLAGS_IF)))
        return "interrupt shadow";
    return NULL;
}

static const char *check_event(const struct vcpu_image *image)
{
    const struct event *event = &image->event;
    bool exception = event->type == EVENT_EXCEPTION || event->type == EVENT_SOFT_EXCEPTION ||
                     event->type == EVENT_PRIVILEGED_EXCEPTION;

    if (!event->valid)
        return NULL;
    if (event->type > EVENT_SOFT_EXCEPTION || event->type == 1)
        return "event: type";
    if ((event->type == EVENT_NMI) != (event->vector == VECTOR_NMI) && (exception || event->type == EVENT_NMI))
        return "event: NMI";
    if (exception && event->vector > 31)
        return "event: vector of an exception";
    if (event->has_error && (event->type != EVENT_EXCEPTION || !(BIT(event->vector) & VECTORS_WITH_ERROR_CODE) ||
                             !(image->state.cr0 & CR0_PE)))
        return "event: error code";
    if (event->has_error && event->error & ~0x7FFFu)
        return "event: bits of the error code";
    if (event_is_by_instruction(event) && (!event->len || event->len > 15))
        return "event: length of the instruction";
    if (event->type == EVENT_INTERRUPT && (!(image->rflags & RFLAGS_IF) || image->shadow))
        return "event: interrupt while interrupts are blocked";
    return NULL;
}

static bool memory_types(u64 value)
{
    for (unsigned i = 0; i < 64; i += 8) {
        u8 type = value >> i;

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static const char *check_registers(const struct vcpu_image *image, const struct vcpu_limits *limits)
{
    const struct vcpu_state *s = &image->state;

    if (!canonical(s->syscall.lstar) || !canonical(s->syscall.cstar) || !canonical(s->syscall.kernel_gs_base) ||
        !canonical(s->sysenter.esp) || !canonical(s->sysenter.eip))
        return "an MSR holds no canonical address";
    if (!memory_types(s->pat))
        return "PAT: memory type";
    if (s->syscall.fmask >> 32 || s->sysenter.cs >> 32 || image->tsc_aux >> 32)
        return "an MSR has reserved bits";
    if ((s->dr6 & DR6_ZERO) || (s->dr7 & DR7_ZERO))
        return "DR6 or DR7: reserved bits";
    for (unsigned i = 0; i < 4; i++)
        if (!canonical(image->dr[i]))
            return "DR0 to DR3";
    for (u32 i = 0; i < image->msrs; i++) {
        u32 k = 0;

        while (k < limits->msrs && limits->msr[k] != image->msr[i].index)
            k++;
        if (k == limits->msrs)
            return "an MSR that is not stored there";
    }
    return NULL;
}

static const char *check_xsave(const struct vcpu_image *image, const struct vcpu_limits *limits)
{
    u64 bv = *(const u64 *)(image->xsave + 512);
    u32 mxcsr = *(const u32 *)(image->xsave + FXSAVE_MXCSR);

    if (!cpuid_xcr0_legal(image->xcr0))
        return "XCR0: a combination that XSETBV refuses";
    if ((image->xcr0 & ~(limits->xcr0 | XCR0_X87)) || (bv & ~(limits->xcr0 | XCR0_X87 | XCR0_SSE)))
        return "XCR0: components that this processor or policy lacks";
    if (mxcsr & ~MXCSR_BITS)
        return "MXCSR: reserved bits";
    return NULL;
}

const char *vcpu_image_check(const struct vcpu_image *image, u32 id, const struct vcpu_limits *limits)
{
    const char *why = check_cr(&image->state, limits);

    if (!why)
        why = check_segments(&image->state, image->rflags);
    if (!why)
        why = check_flow(image);
    if (!why)
        why = check_event(image);
    if (!why)
        why = check_registers(image, limits);
    if (!why)
        why = check_xsave(image, limits);
    if (!why && (image->status > VCPU_WAIT_SIPI || (image->status == VCPU_WAIT_SIPI && id == 0)))
        why = "status of the vcpu";
    if (!why && !guest_tsc_is_khz(image->tsc_khz))
        why = "frequency of the TSC";
    return why;
}

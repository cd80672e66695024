/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/pv_eoi.h"

#include <errno.h>

#include "dev/codec.h"
#include "dev/lapic.h"
#include "host/bits.h"
#include "mm/guest_missing.h"

#define PV_EOI_ENABLE BIT(0)
#define PV_EOI_RESERVED BIT(1)
#define WORD_SKIP_EOI 1U

static gpa_t word_of(const struct pv_eoi *pv_eoi)
{
    return pv_eoi->msr & ~PV_EOI_ENABLE;
}

static bool msr_valid(const struct guest_mem *mem, u64 value)
{
    return !(value & PV_EOI_RESERVED) &&
           (!(value & PV_EOI_ENABLE) || guest_mem_valid(mem, value & ~PV_EOI_ENABLE, sizeof(u32)));
}

int pv_eoi_ask(const struct pv_eoi *pv_eoi, struct guest_mem *mem)
{
    return pv_eoi->msr & PV_EOI_ENABLE ? guest_mem_ask(mem, word_of(pv_eoi), sizeof(u32)) : 0;
}

int pv_eoi_write_msr(struct pv_eoi *pv_eoi, struct guest_mem *mem, u64 value)
{
    struct pv_eoi next = { .msr = value };
    int err = msr_valid(mem, value) ? pv_eoi_ask(&next, mem) : -EINVAL;

    if (!err)
        pv_eoi->msr = value;
    return err;
}

/* The word is in RAM, and here: that was checked when the guest named it, and again when a move brought it. */
static void word_write(const struct pv_eoi *pv_eoi, struct guest_mem *mem, u32 word)
{
    guest_write(mem, word_of(pv_eoi), &word, sizeof(word));
}

void pv_eoi_offer(struct pv_eoi *pv_eoi, struct guest_mem *mem, const struct lapic *lapic)
{
    if (!(pv_eoi->msr & PV_EOI_ENABLE) || !lapic_eoi_is_silent(lapic))
        return;
    word_write(pv_eoi, mem, WORD_SKIP_EOI);
    pv_eoi->offered = true;
}

void pv_eoi_settle(struct pv_eoi *pv_eoi, struct guest_mem *mem, struct lapic *lapic, bool withdraw)
{
    u32 word = WORD_SKIP_EOI; /* what cannot be read counts as unchanged */

    if (!pv_eoi->offered)
        return;
    guest_read(mem, word_of(pv_eoi), &word, sizeof(word));
    if (!(word & WORD_SKIP_EOI)) {
        pv_eoi->offered = false;
        lapic_eoi(lapic);
    } else if (withdraw || !lapic_eoi_is_silent(lapic)) {
        pv_eoi->offered = false;
        word_write(pv_eoi, mem, 0);
    }
}

void pv_eoi_state(struct pv_eoi *pv_eoi, const struct guest_mem *mem, struct codec *c)
{
    struct pv_eoi state = *pv_eoi;

    codec_u64(c, &state.msr);
    codec_bool(c, &state.offered);
    codec_judge(c, msr_valid(mem, state.msr), "the MSR of the EOI word");
    if (codec_judge(c, !state.offered || state.msr & PV_EOI_ENABLE, "an EOI is offered, and there is no word for it"))
        *pv_eoi = state;
}

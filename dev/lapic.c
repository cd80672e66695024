/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC: registers in both modes, priorities, and messages. */
#include "dev/lapic.h"

#include <errno.h>
#include <string.h>

#include "dev/codec.h"
#include "host/msr_index.h"
#include "dev/lapic_timer.h"
#include "host/bits.h"

#define VERSION 1

/* Integrated APIC, version 14H, six LVT entries. */
#define VERSION_REGISTER (0x14 | (NR_LVTS - 1) << 16)
#define DFR_FLAT 0xFFFFFFFFU
#define MODE (APIC_BASE_EN | APIC_BASE_EXTD)
#define MODE_XAPIC APIC_BASE_EN
#define MODE_X2APIC (APIC_BASE_EN | APIC_BASE_EXTD)

#define ICR_DELIVERY BITS(10, 8)
#define ICR_LOGICAL BIT(11)
#define ICR_ASSERT BIT(14)
#define ICR_LEVEL BIT(15)
#define ICR_SHORTHAND BITS(19, 18)
#define ICR_VALID (BITS(11, 0) | ICR_ASSERT | ICR_LEVEL | ICR_SHORTHAND)

/* The accesses that a register allows: RX and WX by memory (xAPIC), R2 and W2 by MSR (x2APIC). */
enum access { RX = 1, WX = 2, R2 = 4, W2 = 8, RO = RX | R2, WO = WX | W2, RW = RO | WO };

/*
 * The registers, by offset / 16. `valid` are the bits that can be written: the others are ignored in xAPIC mode, and
 * cause #GP in x2APIC mode.
 */
static const struct {
    u8 access;
    u32 valid;
} registers[64] = {
    [LAPIC_ID >> 4] = { RO, 0 },
    [LAPIC_VERSION >> 4] = { RO, 0 },
    [LAPIC_TPR >> 4] = { RW, 0xFF },
    [LAPIC_PPR >> 4] = { RO, 0 },
    [LAPIC_EOI >> 4] = { WO, 0 },
    [LAPIC_LDR >> 4] = { RO | WX, 0xFF000000 },
    [LAPIC_DFR >> 4] = { RX | WX, 0xF0000000 },
    [LAPIC_SVR >> 4] = { RW, 0x3FF },
    [0x10 ... 0x27] = { RO, 0 }, /* ISR, TMR and IRR */
    [LAPIC_ESR >> 4] = { RW, 0 },
    [LAPIC_ICR >> 4] = { RW, ICR_VALID },
    [LAPIC_ICR_HIGH >> 4] = { RX | WX, 0xFF000000 },
    [LAPIC_LVT_TIMER >> 4] = { RW, 0x700FF },
    [LAPIC_LVT_THERMAL >> 4] = { RW, 0x107FF },
    [LAPIC_LVT_PERF >> 4] = { RW, 0x107FF },
    [LAPIC_LVT_LINT0 >> 4] = { RW, 0x1A7FF },
    [LAPIC_LVT_LINT1 >> 4] = { RW, 0x1A7FF },
    [LAPIC_LVT_ERROR >> 4] = { RW, 0x100FF },
    [LAPIC_INITIAL_COUNT >> 4] = { RW, 0xFFFFFFFF },
    [LAPIC_CURRENT_COUNT >> 4] = { RO, 0 },
    [LAPIC_DIVIDE >> 4] = { RW, 0xB },
    [LAPIC_SELF_IPI >> 4] = { W2, 0xFF },
};

static u64 mode(const struct lapic *lapic)
{
    return lapic->base & MODE;
}

static bool vector_test(const u32 *bitmap, unsigned vector)
{
    return bitmap[vector / 32] >> (vector % 32) & 1;
}

static void vector_assign(u32 *bitmap, unsigned vector, bool value)
{
    u32 bit = 1U << (vector % 32);

    bitmap[vector / 32] = value ? bitmap[vector / 32] | bit : bitmap[vector / 32] & ~bit;
}

static int vector_highest(const u32 *bitmap)
{
    for (int i = 7; i >= 0; i--)
        if (bitmap[i])
            return 32 * i + 31 - __builtin_clz(bitmap[i]);
    return -1;
}

/* Errors collect until the guest writes ESR; the first of them may interrupt. */
static void report_error(struct lapic *lapic, u32 error)
{
    u32 lvt = lapic->lvt[LVT_ERROR];
    bool news = !(lapic->esr_pending & error);

    lapic->esr_pending |= error;
    if (news && !(lvt & LAPIC_LVT_MASKED) && (u8)lvt >= 16)
        lapic_accept(lapic, (u8)lvt, false);
}

bool lapic_accept(struct lapic *lapic, u8 vector, bool level)
{
    if (!(lapic->base & APIC_BASE_EN) || !(lapic->svr & LAPIC_SVR_ENABLE))
        return false;
    if (vector < 16) {
        report_error(lapic, LAPIC_ESR_RECEIVE_VECTOR);
        return false;
    }
    vector_assign(lapic->irr, vector, true);
    vector_assign(lapic->tmr, vector, level);
    return true;
}

/* Processor priority: the task's, or the one of the interrupt in service (SDM 3A "Task and Processor Priorities"). */
static u32 processor_priority(const struct lapic *lapic)
{
    int in_service = vector_highest(lapic->isr);

    if (in_service >= 0 && (in_service & 0xF0) > (int)(lapic->tpr & 0xF0))
        return in_service & 0xF0;
    return lapic->tpr;
}

/* An interrupt in IRR stays deliverable while software has the LAPIC disabled. */
int lapic_pending(const struct lapic *lapic)
{
    int vector = vector_highest(lapic->irr);

    if (!(lapic->base & APIC_BASE_EN) || vector < 0)
        return -1;
    return vector >> 4 > (int)(processor_priority(lapic) >> 4) ? vector : -1;
}

void lapic_ack(struct lapic *lapic, u8 vector)
{
    vector_assign(lapic->irr, vector, false);
    vector_assign(lapic->isr, vector, true);
}

void lapic_eoi(struct lapic *lapic)
{
    int vector = vector_highest(lapic->isr);

    if (vector < 0)
        return;
    vector_assign(lapic->isr, (unsigned)vector, false);
    if (vector_test(lapic->tmr, (unsigned)vector))
        lapic->env->eoi(lapic->ctx, (u8)vector);
}

bool lapic_eoi_is_silent(const struct lapic *lapic)
{
    int vector = vector_highest(lapic->isr);
    u32 others[ARRAY_SIZE(lapic->isr)];

    if (vector < 0 || vector_test(lapic->tmr, (unsigned)vector) || vector_highest(lapic->irr) >= 0)
        return false;
    memcpy(others, lapic->isr, sizeof(others));
    vector_assign(others, (unsigned)vector, false);
    return vector_highest(others) < 0;
}

bool lapic_passes_extint(const struct lapic *lapic)
{
    u32 lvt = lapic->lvt[LVT_LINT0];

    if (!(lapic->base & APIC_BASE_EN))
        return true;
    return !(lvt & LAPIC_LVT_MASKED) && field_get(LAPIC_LVT_MODE, lvt) == LAPIC_EXTINT;
}

/* In x2APIC mode the logical ID follows from the APIC ID: sixteen to a cluster. */
static u32 logical_id(const struct lapic *lapic)
{
    if (mode(lapic) == MODE_X2APIC)
        return lapic->id >> 4 << 16 | 1U << (lapic->id & 15);
    return lapic->ldr;
}

static bool logical_match(const struct lapic *target, u32 destination)
{
    u32 id = logical_id(target), mask = destination & 0xFF;

    if (mode(target) == MODE_X2APIC)
        return id >> 16 == destination >> 16 && id & destination & 0xFFFF;
    if (destination > 0xFF)
        return false;
    id >>= 24;
    if (target->dfr == DFR_FLAT)
        return id & mask;
    return id >> 4 == mask >> 4 && id & mask & 0xF;
}

bool lapic_ipi_reaches(const struct lapic_ipi *ipi, const struct lapic *sender, const struct lapic *target)
{
    switch (ipi->shorthand) {
    case LAPIC_TO_SELF: return target == sender;
    case LAPIC_TO_ALL: return true;
    case LAPIC_TO_OTHERS: return target != sender;
    default: break;
    }
    if (ipi->destination == LAPIC_BROADCAST)
        return true;
    return ipi->logical ? logical_match(target, ipi->destination) : target->id == ipi->destination;
}

/* The INIT level de-assert is a relic that processors ignore, and two delivery modes are reserved: they go nowhere. */
static void send(struct lapic *lapic)
{
    u32 destination = (u32)(lapic->icr >> 32);
    struct lapic_ipi ipi = {
        .delivery = (u8)field_get(ICR_DELIVERY, lapic->icr),
        .vector = (u8)lapic->icr,
        .shorthand = (u8)field_get(ICR_SHORTHAND, lapic->icr),
        .logical = lapic->icr & ICR_LOGICAL,
        .destination = destination,
    };

    if (mode(lapic) == MODE_XAPIC)
        ipi.destination = destination >> 24 == 0xFF ? LAPIC_BROADCAST : destination >> 24;
    if (ipi.delivery == 3 || ipi.delivery == LAPIC_EXTINT)
        return;
    if (ipi.delivery == LAPIC_INIT && lapic->icr & ICR_LEVEL && !(lapic->icr & ICR_ASSERT))
        return;
    if ((ipi.delivery == LAPIC_FIXED || ipi.delivery == LAPIC_LOWEST) && ipi.vector < 16)
        report_error(lapic, LAPIC_ESR_SEND_VECTOR);
    else
        lapic->env->send(lapic->ctx, &ipi);
}

static void self_ipi(struct lapic *lapic, u8 vector)
{
    if (vector < 16)
        report_error(lapic, LAPIC_ESR_SEND_VECTOR);
    else
        lapic_accept(lapic, vector, false);
}

static void write_lvt(struct lapic *lapic, unsigned index, u32 value)
{
    if (!(lapic->svr & LAPIC_SVR_ENABLE))
        value |= LAPIC_LVT_MASKED;
    if (index == LVT_TIMER)
        lapic_timer_write_lvt(lapic, value);
    else
        lapic->lvt[index] = value;
}

/* Software disable masks every LVT entry, and the entries stay masked when software enables the LAPIC again. */
static void write_svr(struct lapic *lapic, u32 value)
{
    lapic->svr = value;
    for (unsigned i = 0; i < NR_LVTS; i++)
        write_lvt(lapic, i, lapic->lvt[i]);
}

/* Offsets here name registers that exist for reading. */
static u32 register_read(struct lapic *lapic, u32 offset)
{
    switch (offset) {
    case LAPIC_ID: return mode(lapic) == MODE_X2APIC ? lapic->id : lapic->id << 24;
    case LAPIC_VERSION: return VERSION_REGISTER;
    case LAPIC_TPR: return lapic->tpr;
    case LAPIC_PPR: return processor_priority(lapic);
    case LAPIC_LDR: return logical_id(lapic);
    case LAPIC_DFR: return lapic->dfr;
    case LAPIC_SVR: return lapic->svr;
    case LAPIC_ISR ... LAPIC_ISR + 0x70: return lapic->isr[(offset - LAPIC_ISR) >> 4];
    case LAPIC_TMR ... LAPIC_TMR + 0x70: return lapic->tmr[(offset - LAPIC_TMR) >> 4];
    case LAPIC_IRR ... LAPIC_IRR + 0x70: return lapic->irr[(offset - LAPIC_IRR) >> 4];
    case LAPIC_ESR: return lapic->esr;
    case LAPIC_ICR: return (u32)lapic->icr;
    case LAPIC_ICR_HIGH: return (u32)(lapic->icr >> 32);
    case LAPIC_LVT_TIMER ... LAPIC_LVT_ERROR: return lapic->lvt[(offset - LAPIC_LVT_TIMER) >> 4];
    case LAPIC_INITIAL_COUNT: return lapic->timer.initial_count;
    case LAPIC_CURRENT_COUNT: return lapic_timer_read_current_count(lapic);
    case LAPIC_DIVIDE: return lapic->timer.divide;
    default: return 0;
    }
}

/* Offsets here name registers that exist for writing, and value has valid bits only. */
static void register_write(struct lapic *lapic, u32 offset, u32 value)
{
    switch (offset) {
    case LAPIC_TPR: lapic->tpr = value; break;
    case LAPIC_EOI: lapic_eoi(lapic); break;
    case LAPIC_LDR: lapic->ldr = value; break;
    case LAPIC_DFR: lapic->dfr = value | 0x0FFFFFFF; break;
    case LAPIC_SVR: write_svr(lapic, value); break;
    case LAPIC_ESR:
        lapic->esr = lapic->esr_pending;
        lapic->esr_pending = 0;
        break;
    case LAPIC_ICR:
        lapic->icr = (lapic->icr & BITS(63, 32)) | value;
        send(lapic);
        break;
    case LAPIC_ICR_HIGH: lapic->icr = (u64)value << 32 | (u32)lapic->icr; break;
    case LAPIC_LVT_TIMER ... LAPIC_LVT_ERROR: write_lvt(lapic, (offset - LAPIC_LVT_TIMER) >> 4, value); break;
    case LAPIC_INITIAL_COUNT: lapic_timer_write_initial_count(lapic, value); break;
    case LAPIC_DIVIDE: lapic_timer_write_divide(lapic, value); break;
    case LAPIC_SELF_IPI: self_ipi(lapic, (u8)value); break;
    default: break;
    }
}

u32 lapic_mmio_read(struct lapic *lapic, u32 offset, unsigned size)
{
    if (mode(lapic) != MODE_XAPIC)
        return 0xFFFFFFFF;
    if (size != 4 || offset & 15)
        return 0;
    if (offset < 0x400 && registers[offset >> 4].access & RX)
        return register_read(lapic, offset);
    report_error(lapic, LAPIC_ESR_REGISTER);
    return 0;
}

void lapic_mmio_write(struct lapic *lapic, u32 offset, unsigned size, u32 value)
{
    if (mode(lapic) != MODE_XAPIC || size != 4 || offset & 15)
        return;
    if (offset < 0x400 && registers[offset >> 4].access & WX)
        register_write(lapic, offset, value & registers[offset >> 4].valid);
    else if (offset >= 0x400 || !(registers[offset >> 4].access & RX))
        report_error(lapic, LAPIC_ESR_REGISTER);
}

/* Give everything but identity and mode its power-up value. */
static void clear(struct lapic *lapic)
{
    *lapic = (struct lapic){
        .base = lapic->base,
        .id = lapic->id,
        .tsc_khz = lapic->tsc_khz,
        .env = lapic->env,
        .ctx = lapic->ctx,
        .dfr = DFR_FLAT,
        .svr = 0xFF,
    };
    for (unsigned i = 0; i < NR_LVTS; i++)
        lapic->lvt[i] = LAPIC_LVT_MASKED;
    lapic_timer_reset(lapic);
}

void lapic_init(struct lapic *lapic, u32 id, bool bsp, u64 tsc_khz, const struct lapic_env *env, void *ctx)
{
    *lapic = (struct lapic){ .base = bsp ? APIC_BASE_BSP : 0, .id = id, .tsc_khz = tsc_khz, .env = env, .ctx = ctx };
    lapic_reset(lapic);
}

void lapic_reset(struct lapic *lapic)
{
    lapic->base = (lapic->base & APIC_BASE_BSP) | APIC_BASE_EN | LAPIC_MMIO_BASE;
    clear(lapic);
}

void lapic_receive_init(struct lapic *lapic)
{
    clear(lapic);
}

/*
 * EXTD needs EN. Software enters x2APIC mode from xAPIC mode, and leaves it only by disabling the LAPIC, which clears
 * everything (SDM 3A "x2APIC State Transitions").
 */
static int write_base(struct lapic *lapic, u64 value)
{
    u64 from = mode(lapic), to = value & MODE;

    if (value & ~(APIC_BASE_ADDR | APIC_BASE_BSP | MODE) || (value & APIC_BASE_ADDR) != LAPIC_MMIO_BASE)
        return -EINVAL;
    if (to == APIC_BASE_EXTD || (from == 0 && to == MODE_X2APIC) || (from == MODE_X2APIC && to == MODE_XAPIC))
        return -EINVAL;
    lapic->base = (lapic->base & ~MODE) | to;
    if (from && !to)
        clear(lapic);
    return 0;
}

int lapic_msr_read(struct lapic *lapic, u32 msr, u64 *value)
{
    u32 index = msr - MSR_X2APIC_FIRST;

    if (msr == MSR_APIC_BASE) {
        *value = lapic->base;
        return 0;
    }
    if (msr == MSR_TSC_DEADLINE) {
        *value = lapic_timer_read_tsc_deadline(lapic);
        return 0;
    }
    if (mode(lapic) != MODE_X2APIC || index >= ARRAY_SIZE(registers) || !(registers[index].access & R2))
        return -EINVAL;
    *value = index << 4 == LAPIC_ICR ? lapic->icr : register_read(lapic, index << 4);
    return 0;
}

/* Delivery status and remote IRR are not reserved: an LVT entry that was read may be written back as it was. */
static u32 read_only_bits(u32 offset)
{
    switch (offset) {
    case LAPIC_LVT_TIMER ... LAPIC_LVT_ERROR: return LAPIC_LVT_STATUS | LAPIC_LVT_REMOTE_IRR;
    default: return 0;
    }
}

int lapic_msr_write(struct lapic *lapic, u32 msr, u64 value)
{
    u32 index = msr - MSR_X2APIC_FIRST, offset = index << 4;

    if (msr == MSR_APIC_BASE)
        return write_base(lapic, value);
    if (msr == MSR_TSC_DEADLINE) {
        lapic_timer_write_tsc_deadline(lapic, value);
        return 0;
    }
    if (mode(lapic) != MODE_X2APIC || index >= ARRAY_SIZE(registers) || !(registers[index].access & W2))
        return -EINVAL;
    if ((u32)value & ~(registers[index].valid | read_only_bits(offset)) || (offset != LAPIC_ICR && value >> 32))
        return -EINVAL;
    if (offset == LAPIC_ICR)
        lapic->icr = value; /* the destination is part of it */
    register_write(lapic, offset, (u32)value & registers[index].valid);
    return 0;
}

u64 lapic_cr8_read(const struct lapic *lapic)
{
    return lapic->tpr >> 4;
}

void lapic_cr8_write(struct lapic *lapic, u64 value)
{
    lapic->tpr = (u32)(value & 0xF) << 4;
}

/* True if the guest could have written these registers. */
static bool state_is_possible(const struct lapic *lapic)
{
    for (unsigned i = 0; i < NR_LVTS; i++)
        if (lapic->lvt[i] & ~registers[(LAPIC_LVT_TIMER >> 4) + i].valid)
            return false;
    return (lapic->base & ~(APIC_BASE_BSP | MODE)) == LAPIC_MMIO_BASE && mode(lapic) != APIC_BASE_EXTD &&
           !(lapic->tpr & ~registers[LAPIC_TPR >> 4].valid) && !(lapic->svr & ~registers[LAPIC_SVR >> 4].valid) &&
           !(lapic->timer.divide & ~registers[LAPIC_DIVIDE >> 4].valid);
}

void lapic_state(struct lapic *lapic, struct codec *c)
{
    struct lapic state = *lapic;
    u64 remaining = lapic_timer_remaining(lapic);

    codec_version(c, VERSION);
    codec_u32(c, &state.id);
    codec_u64(c, &state.base);
    codec_u32(c, &state.tpr);
    codec_u32(c, &state.ldr);
    codec_u32(c, &state.dfr);
    codec_u32(c, &state.svr);
    codec_u32(c, &state.esr);
    codec_u32(c, &state.esr_pending);
    codec_u64(c, &state.icr);
    for (unsigned i = 0; i < NR_LVTS; i++)
        codec_u32(c, &state.lvt[i]);
    for (unsigned i = 0; i < 8; i++) {
        codec_u32(c, &state.irr[i]);
        codec_u32(c, &state.isr[i]);
        codec_u32(c, &state.tmr[i]);
    }
    codec_u32(c, &state.timer.initial_count);
    codec_u32(c, &state.timer.divide);
    codec_u64(c, &remaining);
    codec_u64(c, &state.timer.tsc_deadline);
    codec_judge(c, state.id == lapic->id, "another APIC ID");
    if (!codec_judge(c, state_is_possible(&state), "no local APIC can be in it"))
        return;
    lapic_timer_resume(&state, remaining);
    *lapic = state;
}

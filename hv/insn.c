/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instruction decoder. hv/insn_opcodes.c says what each opcode is; the code here reads, in this order: prefixes,
 * opcode, ModRM with what follows it, immediate.
 *
 * Errors are sticky: after the first one fetches return zero, decoding runs to its end on harmless values, and the
 * error is returned.
 */
#include "hv/insn.h"

#include <errno.h>
#include <string.h>

#include "hv/insn_opcodes.h"

static bool needs_modrm(enum place place)
{
    return place >= RM && place <= CREG;
}

enum rex { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8, REX = 0x40 };

struct decoder {
    struct insn *insn;
    const u8 *bytes;
    size_t available;
    unsigned pos; /* next byte */
    int error;    /* 0 or the first error */

    bool prefix66, prefix67;
    u8 repeat;  /* 0, 0xF2 or 0xF3: the last one counts */
    u8 rex;     /* 0 or the prefix byte */
    s8 segment; /* override, -1 = none */
    u8 modrm;
};

static void fail(struct decoder *d, int error)
{
    if (!d->error)
        d->error = error;
}

static u8 fetch(struct decoder *d)
{
    if (d->pos == INSN_MAX_LEN)
        fail(d, -EINVAL);
    else if (d->pos == d->available)
        fail(d, -EAGAIN);
    return d->error ? 0 : d->bytes[d->pos++];
}

/* A little-endian number of 1, 2, 4 or 8 bytes. */
static u64 fetch_number(struct decoder *d, unsigned bytes)
{
    u64 value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (u64)fetch(d) << (8 * i);
    return value;
}

static u64 fetch_signed(struct decoder *d, unsigned bytes)
{
    return sign_extend(fetch_number(d, bytes), bytes);
}

/* In 64-bit mode the overrides of ES, CS, SS and DS mean nothing. */
static void override_segment(struct decoder *d, enum seg segment)
{
    if (d->insn->mode != INSN_64 || segment >= SEG_FS)
        d->segment = (s8)segment;
}

/* Take one legacy or REX prefix; false if the byte is none. */
static bool decode_prefix(struct decoder *d, u8 byte)
{
    if (d->insn->mode == INSN_64 && (byte & 0xF0) == REX) {
        d->rex = byte;
        return true;
    }
    switch (byte) {
    case 0x26: override_segment(d, SEG_ES); break;
    case 0x2E: override_segment(d, SEG_CS); break;
    case 0x36: override_segment(d, SEG_SS); break;
    case 0x3E: override_segment(d, SEG_DS); break;
    case 0x64: override_segment(d, SEG_FS); break;
    case 0x65: override_segment(d, SEG_GS); break;
    case 0x66: d->prefix66 = true; break;
    case 0x67: d->prefix67 = true; break;
    case 0xF0: d->insn->lock = true; break;
    case 0xF2:
    case 0xF3: d->repeat = byte; break;
    default: return false;
    }
    d->rex = 0; /* a REX prefix counts only right before the opcode */
    return true;
}

/* Read prefixes and return the first opcode byte. */
static u8 decode_prefixes(struct decoder *d)
{
    u8 byte = fetch(d);

    while (!d->error && decode_prefix(d, byte))
        byte = fetch(d);
    d->insn->rep = d->repeat != 0;
    if (d->insn->mode == INSN_64)
        d->insn->addr_size = d->prefix67 ? 4 : 8;
    else
        d->insn->addr_size = (d->insn->mode == INSN_32) != d->prefix67 ? 4 : 2;
    return byte;
}

static void decode_sizes(struct decoder *d, unsigned flags)
{
    struct insn *insn = d->insn;
    bool long_mode = insn->mode == INSN_64;
    unsigned size = (insn->mode != INSN_16) != d->prefix66 ? 4 : 2;

    if (long_mode && d->rex & REX_W)
        size = 8;
    if (flags & FIXED64)
        size = long_mode ? 8 : 4;
    if (flags & BYTE)
        size = 1;
    if (flags & WORD)
        size = 2;
    if (flags & MAX32)
        size = MIN(size, 4u);

    insn->size = insn->src_size = (u8)size;
    if (flags & SRC8)
        insn->src_size = 1;
    if (flags & SRC16)
        insn->src_size = 2;
    if (flags & SRC32)
        insn->src_size = (u8)MIN(size, 4u);
}

/* Without REX the byte registers 4 to 7 are AH, CH, DH and BH. */
static struct insn_operand register_operand(const struct decoder *d, unsigned number, unsigned size)
{
    bool high_byte = size == 1 && !d->rex && number >= 4;

    return (struct insn_operand){ OPERAND_REG, (u8)(high_byte ? number - 4 : number), high_byte };
}

/* [base + index] with 16-bit addresses, by ModRM.rm. */
static const struct {
    s8 base, index;
} pairs_16[8] = { { RBX, RSI }, { RBX, RDI }, { RBP, RSI }, { RBP, RDI },
                  { RSI, -1 },  { RDI, -1 },  { RBP, -1 },  { RBX, -1 } };

static void decode_memory_16(struct decoder *d, struct insn_mem *mem)
{
    unsigned mod = d->modrm >> 6, rm = d->modrm & 7;

    if (mod == 0 && rm == 6) {
        mem->disp = (s64)fetch_signed(d, 2);
        return;
    }
    mem->base = pairs_16[rm].base;
    mem->index = pairs_16[rm].index;
    if (mod)
        mem->disp = (s64)fetch_signed(d, mod == 1 ? 1 : 2);
}

static void decode_memory_32_64(struct decoder *d, struct insn_mem *mem)
{
    unsigned mod = d->modrm >> 6, base = d->modrm & 7;
    bool sib = base == RSP;

    if (sib) {
        u8 byte = fetch(d);
        int index = (byte >> 3 & 7) | (d->rex & REX_X ? 8 : 0);

        base = byte & 7;
        mem->scale = (u8)(1 << (byte >> 6));
        mem->index = index == RSP ? -1 : (s8)index;
    }
    if (mod == 0 && base == RBP) {
        mem->rip_relative = !sib && d->insn->mode == INSN_64;
        mem->disp = (s64)fetch_signed(d, 4);
        return;
    }
    mem->base = (s8)(base | (d->rex & REX_B ? 8 : 0));
    if (mod)
        mem->disp = (s64)fetch_signed(d, mod == 1 ? 1 : 4);
}

/* A memory operand of [base] or none (-1), in the override's segment, else in `segment`. */
static void memory_init(const struct decoder *d, enum seg segment, int base)
{
    d->insn->mem = (struct insn_mem){ .base = (s8)base, .index = -1, .scale = 1 };
    d->insn->mem.segment = (u8)(d->segment >= 0 ? d->segment : (s8)segment);
}

static struct insn_operand gpr_operand(const struct decoder *d, unsigned size)
{
    return register_operand(d, (d->modrm & 7) | (d->rex & REX_B ? 8 : 0), size);
}

static struct insn_operand reg_operand(const struct decoder *d, unsigned size)
{
    return register_operand(d, (d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0), size);
}

/* The r/m operand of ModRM; the displacement is fetched here. */
static struct insn_operand rm_operand(struct decoder *d, unsigned size)
{
    struct insn_mem *mem = &d->insn->mem;

    if (d->modrm >> 6 == 3)
        return gpr_operand(d, size);

    memory_init(d, SEG_DS, -1);
    if (d->insn->addr_size == 2)
        decode_memory_16(d, mem);
    else
        decode_memory_32_64(d, mem);
    if (d->segment < 0 && (mem->base == RSP || mem->base == RBP))
        mem->segment = SEG_SS;
    return (struct insn_operand){ .kind = OPERAND_MEM };
}

static struct insn_operand immediate_operand(struct decoder *d, u64 value)
{
    d->insn->imm = value;
    return (struct insn_operand){ .kind = OPERAND_IMM };
}

/* A memory operand at an address that is in the instruction. */
static struct insn_operand offset_operand(struct decoder *d)
{
    memory_init(d, SEG_DS, -1);
    d->insn->mem.disp = (s64)fetch_number(d, d->insn->addr_size);
    return (struct insn_operand){ .kind = OPERAND_MEM };
}

/* The control register of ModRM.reg. CR1, CR5 to CR7 and above CR8 do not exist. */
static struct insn_operand control_register_operand(struct decoder *d)
{
    unsigned number = (d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0);

    if (!(BIT(number) & (BITS(4, 2) | BIT(0) | BIT(8))))
        fail(d, -EINVAL);
    return (struct insn_operand){ .kind = OPERAND_CR, .reg = (u8)number };
}

static struct insn_operand decode_operand(struct decoder *d, enum place place, unsigned size)
{
    switch (place) {
    case NONE: break;
    case RM: return rm_operand(d, size);
    case GPR: return gpr_operand(d, size);
    case REG: return reg_operand(d, size);
    case CREG: return control_register_operand(d);
    case ACC: return (struct insn_operand){ OPERAND_REG, RAX, false };
    case IMM: return immediate_operand(d, fetch_signed(d, MIN(size, 4u)));
    case IMM8: return immediate_operand(d, fetch_signed(d, 1));
    case OFFSET: return offset_operand(d);
    case SI: memory_init(d, SEG_DS, RSI); break;
    case DI:
        memory_init(d, SEG_ES, RDI);
        d->insn->mem.segment = SEG_ES;
        break;
    }
    return (struct insn_operand){ .kind = OPERAND_NONE };
}

/* Fetch ModRM and, in a group, go down to the row that it chooses. */
static struct opcode decode_group(struct decoder *d, struct opcode outer)
{
    struct opcode row;

    d->modrm = fetch(d);
    if (!outer.group)
        return outer;
    row = outer.group[d->modrm >> 3 & 7];
    row.flags |= outer.flags;
    return row;
}

/* LOCK is #UD but for these with a memory destination (SDM 2 "LOCK"). */
static bool lock_allowed(const struct insn *insn)
{
    const u64 lockable = BITS(INSN_XOR, INSN_ADD) | BITS(INSN_DEC, INSN_NOT) | BITS(INSN_CMPXCHG, INSN_XCHG) |
                         BITS(INSN_BTC, INSN_BTS);

    return insn->dst.kind == OPERAND_MEM && insn->op < 64 && lockable & BIT(insn->op);
}

/* Prefixes and mode against what the row demands. */
static void check_row(struct decoder *d, const struct opcode *row)
{
    bool long_mode = d->insn->mode == INSN_64;
    bool other = (row->flags & NP && (d->prefix66 || d->repeat)) || (row->flags & MODRM_D1 && d->modrm != 0xD1) ||
                 (row->flags & ONLY64 && !long_mode);

    if (row->op == INSN_NONE || other)
        fail(d, -ENOTSUP);
    if (row->op == INSN_UD || (row->flags & NO64 && long_mode) || (row->flags & MEM && d->modrm >> 6 == 3))
        fail(d, -EINVAL);
}

int insn_decode(struct insn *insn, enum insn_mode mode, const u8 *bytes, size_t available)
{
    struct decoder d = { .insn = insn, .bytes = bytes, .available = available, .segment = -1 };
    struct opcode row;
    u8 byte;

    memset(insn, 0, sizeof(*insn));
    insn->mode = (u8)mode;
    memory_init(&d, SEG_DS, -1);
    byte = decode_prefixes(&d);
    row = byte == 0x0F ? opcodes_0f[fetch(&d)] : opcodes_one_byte[byte];
    if (row.group || needs_modrm(row.dst) || needs_modrm(row.src))
        row = decode_group(&d, row);
    check_row(&d, &row);
    if (d.error)
        return d.error;

    insn->op = row.op;
    decode_sizes(&d, row.flags);
    insn->dst = decode_operand(&d, row.dst, insn->size);
    insn->src = decode_operand(&d, row.src, insn->src_size);
    if (insn->lock && !lock_allowed(insn))
        fail(&d, -EINVAL);
    insn->len = (u8)d.pos;
    return d.error;
}

u64 insn_linear_address(const struct insn *insn, const struct insn_context *context, enum seg segment, u64 offset)
{
    offset &= size_mask(insn->addr_size);
    if (insn->mode != INSN_64)
        return (u32)(context->segment_base[segment] + offset);
    return segment >= SEG_FS ? context->segment_base[segment] + offset : offset;
}

u64 insn_effective_address(const struct insn *insn, const struct insn_context *context)
{
    const struct insn_mem *mem = &insn->mem;
    u64 offset = (u64)mem->disp;

    if (mem->base >= 0)
        offset += context->regs[mem->base];
    if (mem->index >= 0)
        offset += context->regs[mem->index] * mem->scale;
    if (mem->rip_relative)
        offset += context->rip + insn->len;
    return insn_linear_address(insn, context, mem->segment, offset);
}

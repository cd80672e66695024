/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Execution of decoded instructions. Each function reads, computes, writes memory, and changes registers and flags
 * last. Errors are sticky: after the first one reads return zero, and neither memory nor a register or flag is changed.
 * Flags that the manual leaves undefined are cleared (logic) or kept (bit tests), as processors do.
 */
#include "hv/insn_exec.h"

#include <errno.h>

#define ARITHMETIC_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

struct execution {
    const struct insn *insn;
    struct insn_context *context;
    const struct insn_memory *memory;
    u64 address; /* of the memory operand, if there is one */
    int error;   /* 0 or the first error */
};

static const struct insn_operand accumulator = { .kind = OPERAND_REG, .reg = RAX };

static u64 memory_read(struct execution *e, u64 address, unsigned size)
{
    u64 value = 0;

    if (!e->error)
        e->error = e->memory->read(e->memory->ctx, address, size, &value);
    return value;
}

static void memory_write(struct execution *e, u64 address, u64 value)
{
    unsigned size = e->insn->size;

    if (!e->error)
        e->error = e->memory->write(e->memory->ctx, address, size, value & size_mask(size));
}

static u64 register_get(const struct execution *e, struct insn_operand operand, unsigned size)
{
    return (e->context->regs[operand.reg] >> (operand.high_byte ? 8 : 0)) & size_mask(size);
}

static void register_set(const struct execution *e, struct insn_operand operand, unsigned size, u64 value)
{
    u64 *reg = &e->context->regs[operand.reg];

    if (e->error)
        return;
    if (operand.high_byte)
        *reg = field_set(BITS(15, 8), *reg, value);
    else
        gpr_write(reg, size, value);
}

static u64 operand_read(struct execution *e, struct insn_operand operand, unsigned size)
{
    switch (operand.kind) {
    case OPERAND_REG: return register_get(e, operand, size);
    case OPERAND_IMM: return e->insn->imm & size_mask(size);
    case OPERAND_MEM: return memory_read(e, e->address, size) & size_mask(size);
    default: e->error = e->error ?: -ENOTSUP; return 0;
    }
}

static void operand_write(struct execution *e, struct insn_operand operand, u64 value)
{
    if (operand.kind == OPERAND_MEM)
        memory_write(e, e->address, value);
    else
        register_set(e, operand, e->insn->size, value);
}

static void flags_set(const struct execution *e, u64 mask, u64 flags)
{
    if (!e->error)
        e->context->rflags = (e->context->rflags & ~mask) | (flags & mask);
}

/* Zero, sign and parity of a result. */
static u64 flags_of_result(u64 result, unsigned size)
{
    u64 flags = 0;

    if ((result & size_mask(size)) == 0)
        flags |= RFLAGS_ZF;
    if (result >> (8 * size - 1) & 1)
        flags |= RFLAGS_SF;
    if (!__builtin_parity(result & 0xFF))
        flags |= RFLAGS_PF;
    return flags;
}

/* a op b; carry comes in by *flags, and all six arithmetic flags go out. */
static u64 arithmetic(enum insn_op op, u64 a, u64 b, unsigned size, u64 *flags)
{
    u64 carry = (op == INSN_ADC || op == INSN_SBB) && *flags & RFLAGS_CF;
    u64 sign = BIT(8 * size - 1), result;
    u64 carries = 0, overflow = 0; /* carry or borrow out of each bit; overflow at the sign bit */

    switch (op) {
    case INSN_ADD:
    case INSN_ADC:
        result = a + b + carry;
        carries = (a & b) | ((a | b) & ~result);
        overflow = (a ^ result) & (b ^ result);
        break;
    case INSN_AND:
    case INSN_TEST: result = a & b; break;
    case INSN_OR: result = a | b; break;
    case INSN_XOR: result = a ^ b; break;
    default: /* SUB, SBB, CMP */
        result = a - b - carry;
        carries = (~a & b) | ((~a | b) & result);
        overflow = (a ^ b) & (a ^ result);
        break;
    }
    *flags = flags_of_result(result, size) | (carries & sign ? RFLAGS_CF : 0) | (carries & BIT(3) ? RFLAGS_AF : 0) |
             (overflow & sign ? RFLAGS_OF : 0);
    return result;
}

static void exec_arithmetic(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 b = operand_read(e, insn->src, insn->size), a = operand_read(e, insn->dst, insn->size);
    u64 flags = e->context->rflags, result = arithmetic(insn->op, a, b, insn->size, &flags);

    if (insn->op != INSN_CMP && insn->op != INSN_TEST)
        operand_write(e, insn->dst, result);
    flags_set(e, ARITHMETIC_FLAGS, flags);
}

/* NOT leaves the flags alone; INC and DEC leave the carry. */
static void exec_unary(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 a = operand_read(e, insn->dst, insn->size), flags = 0, result, changed = ARITHMETIC_FLAGS;

    switch (insn->op) {
    case INSN_NOT:
        result = ~a;
        changed = 0;
        break;
    case INSN_NEG: result = arithmetic(INSN_SUB, 0, a, insn->size, &flags); break;
    default:
        result = arithmetic(insn->op == INSN_INC ? INSN_ADD : INSN_SUB, a, 1, insn->size, &flags);
        changed &= ~RFLAGS_CF;
        break;
    }
    operand_write(e, insn->dst, result);
    flags_set(e, changed, flags);
}

static void exec_mov(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 value = operand_read(e, insn->src, insn->src_size);

    operand_write(e, insn->dst, insn->op == INSN_MOVSX ? sign_extend(value, insn->src_size) : value);
}

/* The source of these is always a register. */
static void exec_exchange(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 a = operand_read(e, insn->dst, insn->size), b = operand_read(e, insn->src, insn->size), flags = 0;
    u64 sum = arithmetic(INSN_ADD, a, b, insn->size, &flags), new = insn->op == INSN_XADD ? sum : b;

    if (insn->dst.kind == OPERAND_MEM)
        operand_write(e, insn->dst, new);
    operand_write(e, insn->src, a);
    if (insn->dst.kind == OPERAND_REG)
        operand_write(e, insn->dst, new);
    if (insn->op == INSN_XADD)
        flags_set(e, ARITHMETIC_FLAGS, flags);
}

/* A memory destination is written even when the comparison fails, with what it held; a register is not. */
static void exec_cmpxchg(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 expected = register_get(e, accumulator, insn->size), flags = 0;
    u64 old = operand_read(e, insn->dst, insn->size), new = operand_read(e, insn->src, insn->size);
    bool equal = expected == old;

    arithmetic(INSN_CMP, expected, old, insn->size, &flags);
    if (equal || insn->dst.kind == OPERAND_MEM)
        operand_write(e, insn->dst, equal ? new : old);
    if (!equal)
        operand_write(e, accumulator, old);
    flags_set(e, ARITHMETIC_FLAGS, flags);
}

/* With a register for the bit number, a memory operand is a bit string that reaches both ways from its address. */
static void bit_string_address(struct execution *e)
{
    struct insn moved = *e->insn;
    unsigned shift = (unsigned)__builtin_ctz(8u * moved.size);
    s64 offset = (s64)sign_extend(register_get(e, moved.src, moved.size), moved.size);

    moved.mem.disp += (offset >> shift) * moved.size;
    e->address = insn_effective_address(&moved, e->context);
}

static void exec_bit(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 value, bit, result;

    if (insn->dst.kind == OPERAND_MEM && insn->src.kind == OPERAND_REG)
        bit_string_address(e);
    bit = BIT(operand_read(e, insn->src, insn->size) % (8 * insn->size));
    value = operand_read(e, insn->dst, insn->size);
    switch (insn->op) {
    case INSN_BTS: result = value | bit; break;
    case INSN_BTR: result = value & ~bit; break;
    case INSN_BTC: result = value ^ bit; break;
    default: result = value; break;
    }
    if (insn->op != INSN_BT)
        operand_write(e, insn->dst, result);
    flags_set(e, RFLAGS_CF, value & bit ? RFLAGS_CF : 0);
}

/* Registers that string instructions use as addresses and counter, in the address size. */
static u64 address_register(const struct execution *e, enum gpr gpr)
{
    return e->context->regs[gpr] & size_mask(e->insn->addr_size);
}

static void address_register_add(struct execution *e, enum gpr gpr, u64 step)
{
    struct insn_operand operand = { .kind = OPERAND_REG, .reg = gpr };

    register_set(e, operand, e->insn->addr_size, e->context->regs[gpr] + step);
}

/* One element of a string: read it if the instruction has a source, write it if it has a destination. A device is not
 * read before the destination is known to be writable, or it would be read again. */
static void string_element(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 destination = insn_linear_address(insn, e->context, SEG_ES, e->context->regs[RDI]);
    u64 value = register_get(e, accumulator, insn->size);

    if (insn->op == INSN_MOVS)
        e->error = e->memory->probe_write(e->memory->ctx, destination, insn->size);
    if (insn->op != INSN_STOS)
        value = memory_read(e, e->address, insn->size);
    if (insn->op == INSN_LODS)
        operand_write(e, accumulator, value);
    else
        memory_write(e, destination, value);
}

/* One iteration; F2 repeats these just as F3 does. */
static enum insn_result exec_string(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 step = e->context->rflags & RFLAGS_DF ? -(u64)insn->size : insn->size;

    if (insn->rep && address_register(e, RCX) == 0)
        return INSN_DONE;
    string_element(e);
    if (insn->op != INSN_STOS)
        address_register_add(e, RSI, step);
    if (insn->op != INSN_LODS)
        address_register_add(e, RDI, step);
    if (!insn->rep)
        return INSN_DONE;
    address_register_add(e, RCX, ~0ULL);
    return address_register(e, RCX) ? INSN_AGAIN : INSN_DONE;
}

int insn_exec(const struct insn *insn, struct insn_context *context, const struct insn_memory *memory)
{
    struct execution e = { .insn = insn, .context = context, .memory = memory };
    int result = INSN_DONE;

    e.address = insn_effective_address(insn, context);
    switch (insn->op) {
    case INSN_ADD ... INSN_TEST: exec_arithmetic(&e); break;
    case INSN_NOT ... INSN_DEC: exec_unary(&e); break;
    case INSN_MOV ... INSN_MOVSX: exec_mov(&e); break;
    case INSN_XCHG ... INSN_XADD: exec_exchange(&e); break;
    case INSN_CMPXCHG: exec_cmpxchg(&e); break;
    case INSN_BT ... INSN_BTC: exec_bit(&e); break;
    case INSN_MOVS ... INSN_LODS: result = exec_string(&e); break;
    default: return -ENOTSUP;
    }
    return e.error ?: result;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Execution of decoded instructions. Each function reads, computes, writes, and changes registers and flags only when
 * nothing can fail any more. Flags that the manual leaves undefined are cleared (logic) or kept (bit tests), as
 * processors do.
 */
#include "hv/insn_exec.h"

#include <errno.h>

#define ARITHMETIC_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

struct execution {
    const struct insn *insn;
    struct insn_context *context;
    const struct insn_memory *memory;
    u64 address; /* of the memory operand, if there is one */
};

static u64 register_get(const struct insn_context *context, struct insn_operand operand, unsigned size)
{
    return (context->regs[operand.reg] >> (operand.high_byte ? 8 : 0)) & size_mask(size);
}

static void register_set(struct insn_context *context, struct insn_operand operand, unsigned size, u64 value)
{
    u64 *reg = &context->regs[operand.reg];

    if (operand.high_byte)
        *reg = field_set(BITS(15, 8), *reg, value);
    else
        gpr_write(reg, size, value);
}

static int operand_read(const struct execution *e, struct insn_operand operand, unsigned size, u64 *value)
{
    int error = 0;

    *value = 0;
    switch (operand.kind) {
    case OPERAND_REG: *value = register_get(e->context, operand, size); break;
    case OPERAND_IMM: *value = e->insn->imm; break;
    case OPERAND_MEM: error = e->memory->read(e->memory->ctx, e->address, size, value); break;
    default: return -ENOTSUP;
    }
    *value &= size_mask(size);
    return error;
}

static int operand_write(const struct execution *e, struct insn_operand operand, u64 value)
{
    unsigned size = e->insn->size;

    if (operand.kind == OPERAND_MEM)
        return e->memory->write(e->memory->ctx, e->address, size, value & size_mask(size));
    register_set(e->context, operand, size, value);
    return 0;
}

static void flags_set(struct insn_context *context, u64 mask, u64 flags)
{
    context->rflags = (context->rflags & ~mask) | (flags & mask);
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

static int exec_arithmetic(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 a, b, flags = e->context->rflags, result;
    int error;

    if ((error = operand_read(e, insn->src, insn->size, &b)) || (error = operand_read(e, insn->dst, insn->size, &a)))
        return error;
    result = arithmetic(insn->op, a, b, insn->size, &flags);
    if (insn->op != INSN_CMP && insn->op != INSN_TEST && (error = operand_write(e, insn->dst, result)))
        return error;
    flags_set(e->context, ARITHMETIC_FLAGS, flags);
    return 0;
}

/* NOT leaves the flags alone; INC and DEC leave the carry. */
static int exec_unary(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 a, flags = 0, result, changed = ARITHMETIC_FLAGS;
    int error;

    if ((error = operand_read(e, insn->dst, insn->size, &a)))
        return error;
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
    if ((error = operand_write(e, insn->dst, result)))
        return error;
    flags_set(e->context, changed, flags);
    return 0;
}

static int exec_mov(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 value;
    int error = operand_read(e, insn->src, insn->src_size, &value);

    if (error)
        return error;
    return operand_write(e, insn->dst, insn->op == INSN_MOVSX ? sign_extend(value, insn->src_size) : value);
}

/* The source of these is always a register, so writing it last cannot fail. */
static int exec_exchange(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 a, b, flags = 0, sum;
    int error;

    if ((error = operand_read(e, insn->dst, insn->size, &a)) || (error = operand_read(e, insn->src, insn->size, &b)))
        return error;
    sum = arithmetic(INSN_ADD, a, b, insn->size, &flags);
    if (insn->dst.kind == OPERAND_MEM && (error = operand_write(e, insn->dst, insn->op == INSN_XADD ? sum : b)))
        return error;
    operand_write(e, insn->src, a);
    if (insn->dst.kind == OPERAND_REG)
        operand_write(e, insn->dst, insn->op == INSN_XADD ? sum : b);
    if (insn->op == INSN_XADD)
        flags_set(e->context, ARITHMETIC_FLAGS, flags);
    return 0;
}

/* A memory destination is written even when the comparison fails, with what it held; a register is not. */
static int exec_cmpxchg(struct execution *e)
{
    static const struct insn_operand accumulator = { .kind = OPERAND_REG, .reg = RAX };
    const struct insn *insn = e->insn;
    u64 expected = register_get(e->context, accumulator, insn->size), old, new, flags = 0;
    bool equal;
    int error;

    if ((error = operand_read(e, insn->dst, insn->size, &old)) ||
        (error = operand_read(e, insn->src, insn->size, &new)))
        return error;
    arithmetic(INSN_CMP, expected, old, insn->size, &flags);
    equal = expected == old;
    if ((equal || insn->dst.kind == OPERAND_MEM) && (error = operand_write(e, insn->dst, equal ? new : old)))
        return error;
    if (!equal)
        operand_write(e, accumulator, old);
    flags_set(e->context, ARITHMETIC_FLAGS, flags);
    return 0;
}

/* With a register for the bit number, a memory operand is a bit string that reaches both ways from its address. */
static void bit_string_address(struct execution *e)
{
    struct insn moved = *e->insn;
    unsigned shift = (unsigned)__builtin_ctz(8u * moved.size);
    s64 offset = (s64)sign_extend(register_get(e->context, moved.src, moved.size), moved.size);

    moved.mem.disp += (offset >> shift) * moved.size;
    e->address = insn_effective_address(&moved, e->context);
}

static int exec_bit(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 value, number, bit, result;
    int error;

    if (insn->dst.kind == OPERAND_MEM && insn->src.kind == OPERAND_REG)
        bit_string_address(e);
    if ((error = operand_read(e, insn->src, insn->size, &number)) ||
        (error = operand_read(e, insn->dst, insn->size, &value)))
        return error;
    bit = BIT(number % (8 * insn->size));
    switch (insn->op) {
    case INSN_BTS: result = value | bit; break;
    case INSN_BTR: result = value & ~bit; break;
    case INSN_BTC: result = value ^ bit; break;
    default: result = value; break;
    }
    if (insn->op != INSN_BT && (error = operand_write(e, insn->dst, result)))
        return error;
    flags_set(e->context, RFLAGS_CF, value & bit ? RFLAGS_CF : 0);
    return 0;
}

/* Registers that string instructions use as addresses and counter, in the address size. */
static u64 address_register(const struct execution *e, enum gpr gpr)
{
    return e->context->regs[gpr] & size_mask(e->insn->addr_size);
}

static void address_register_add(struct execution *e, enum gpr gpr, u64 step)
{
    struct insn_operand operand = { .kind = OPERAND_REG, .reg = gpr };

    register_set(e->context, operand, e->insn->addr_size, e->context->regs[gpr] + step);
}

/* One element of a string: read it if the instruction has a source, write it if it has a destination. A device is not
 * read before the destination is known to be writable, or it would be read again. */
static int string_element(struct execution *e)
{
    static const struct insn_operand accumulator = { .kind = OPERAND_REG, .reg = RAX };
    const struct insn *insn = e->insn;
    u64 destination = insn_linear_address(insn, e->context, SEG_ES, e->context->regs[RDI]);
    u64 value = register_get(e->context, accumulator, insn->size);
    int error;

    if (insn->op == INSN_MOVS && (error = e->memory->probe_write(e->memory->ctx, destination, insn->size)))
        return error;
    if (insn->op != INSN_STOS && (error = e->memory->read(e->memory->ctx, e->address, insn->size, &value)))
        return error;
    if (insn->op == INSN_LODS)
        return operand_write(e, accumulator, value);
    return e->memory->write(e->memory->ctx, destination, insn->size, value & size_mask(insn->size));
}

/* One iteration; F2 repeats these just as F3 does. */
static int exec_string(struct execution *e)
{
    const struct insn *insn = e->insn;
    u64 step = e->context->rflags & RFLAGS_DF ? -(u64)insn->size : insn->size;
    int error;

    if (insn->rep && address_register(e, RCX) == 0)
        return INSN_DONE;
    if ((error = string_element(e)))
        return error;
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

    e.address = insn_effective_address(insn, context);
    switch (insn->op) {
    case INSN_ADD ... INSN_TEST: return exec_arithmetic(&e);
    case INSN_NOT ... INSN_DEC: return exec_unary(&e);
    case INSN_MOV ... INSN_MOVSX: return exec_mov(&e);
    case INSN_XCHG ... INSN_XADD: return exec_exchange(&e);
    case INSN_CMPXCHG: return exec_cmpxchg(&e);
    case INSN_BT ... INSN_BTC: return exec_bit(&e);
    case INSN_MOVS ... INSN_LODS: return exec_string(&e);
    default: return -ENOTSUP;
    }
}

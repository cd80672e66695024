/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The opcode tables, in the notation of the manual's opcode maps (SDM 2 "Opcode Map", APM 3 "Opcode and Operand
 * Encodings"). A row that is not there is an instruction that we refuse.
 */
#include "hv/insn_opcodes.h"

/* Rows leave out what is zero at their end, and are set by hand. */
/* clang-format off */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define GROUP1(imm)                                                                             \
    {INSN_ADD, RM, imm}, {INSN_OR, RM, imm}, {INSN_ADC, RM, imm}, {INSN_SBB, RM, imm},          \
    {INSN_AND, RM, imm}, {INSN_SUB, RM, imm}, {INSN_XOR, RM, imm}, {INSN_CMP, RM, imm}

static const struct opcode group1_full[8] = {GROUP1(IMM)}, group1_imm8[8] = {GROUP1(IMM8)};

static const struct opcode group3[8] = {
    {INSN_TEST, RM, IMM}, {INSN_TEST, RM, IMM}, {INSN_NOT, RM}, {INSN_NEG, RM},
};

static const struct opcode group4[8] = {
    {INSN_INC, RM}, {INSN_DEC, RM}, {INSN_UD}, {INSN_UD}, {INSN_UD}, {INSN_UD}, {INSN_UD}, {INSN_UD},
};

static const struct opcode group5[8] = {{INSN_INC, RM}, {INSN_DEC, RM}, [7] = {INSN_UD}};

static const struct opcode group7[8] = {
    [2] = {INSN_XSETBV, NONE, NONE, MODRM_D1 | NP}, [6] = {INSN_LMSW, RM, NONE, WORD},
};

static const struct opcode group8[8] = {
    {INSN_UD}, {INSN_UD}, {INSN_UD}, {INSN_UD},
    {INSN_BT, RM, IMM8}, {INSN_BTS, RM, IMM8}, {INSN_BTR, RM, IMM8}, {INSN_BTC, RM, IMM8},
};

static const struct opcode group11[8] = {
    {INSN_MOV, RM, IMM}, {INSN_UD}, {INSN_UD}, {INSN_UD}, {INSN_UD}, {INSN_UD}, {INSN_UD}, {INSN_NONE},
};

/* The six encodings that each of the eight arithmetic operations has. */
#define ARITHMETIC(base, op)                                                                        \
    [base + 0] = {op, RM, REG, BYTE}, [base + 1] = {op, RM, REG}, [base + 2] = {op, REG, RM, BYTE}, \
    [base + 3] = {op, REG, RM}, [base + 4] = {op, ACC, IMM, BYTE}, [base + 5] = {op, ACC, IMM}

/* The byte and the full-size form of an instruction, side by side. */
#define PAIR(base, op, dst, src, flags) [base] = {op, dst, src, (flags) | BYTE}, [base + 1] = {op, dst, src, flags}

const struct opcode opcodes_one_byte[256] = {
    ARITHMETIC(0x00, INSN_ADD),
    ARITHMETIC(0x08, INSN_OR),
    ARITHMETIC(0x10, INSN_ADC),
    ARITHMETIC(0x18, INSN_SBB),
    ARITHMETIC(0x20, INSN_AND),
    ARITHMETIC(0x28, INSN_SUB),
    ARITHMETIC(0x30, INSN_XOR),
    ARITHMETIC(0x38, INSN_CMP),
    [0x63] = {INSN_MOVSX, REG, RM, ONLY64 | SRC32},
    PAIR(0x6C, INSN_INS, DI, NONE, MAX32),
    PAIR(0x6E, INSN_OUTS, SI, NONE, MAX32),
    [0x80] = {.group = group1_full, .flags = BYTE},
    [0x81] = {.group = group1_full},
    [0x82] = {.group = group1_full, .flags = BYTE | NO64},
    [0x83] = {.group = group1_imm8},
    PAIR(0x84, INSN_TEST, RM, REG, 0),
    PAIR(0x86, INSN_XCHG, RM, REG, 0),
    PAIR(0x88, INSN_MOV, RM, REG, 0),
    PAIR(0x8A, INSN_MOV, REG, RM, 0),
    PAIR(0xA0, INSN_MOV, ACC, OFFSET, 0),
    PAIR(0xA2, INSN_MOV, OFFSET, ACC, 0),
    PAIR(0xA4, INSN_MOVS, SI, NONE, 0),
    PAIR(0xA8, INSN_TEST, ACC, IMM, 0),
    PAIR(0xAA, INSN_STOS, DI, NONE, 0),
    PAIR(0xAC, INSN_LODS, SI, NONE, 0),
    [0xC6] = {.group = group11, .flags = BYTE},
    [0xC7] = {.group = group11},
    [0xF4] = {INSN_HLT},
    [0xF6] = {.group = group3, .flags = BYTE},
    [0xF7] = {.group = group3},
    [0xFE] = {.group = group4, .flags = BYTE},
    [0xFF] = {.group = group5},
};

const struct opcode opcodes_0f[256] = {
    [0x01] = {.group = group7},
    [0x06] = {INSN_CLTS},
    [0x08] = {INSN_INVD},
    [0x09] = {INSN_WBINVD},
    [0x0B] = {INSN_UD},
    [0x20] = {INSN_MOV_CR, GPR, CREG, FIXED64},
    [0x22] = {INSN_MOV_CR, CREG, GPR, FIXED64},
    [0x30] = {INSN_WRMSR},
    [0x32] = {INSN_RDMSR},
    [0xA2] = {INSN_CPUID},
    [0xA3] = {INSN_BT, RM, REG},
    [0xAB] = {INSN_BTS, RM, REG},
    PAIR(0xB0, INSN_CMPXCHG, RM, REG, 0),
    [0xB3] = {INSN_BTR, RM, REG},
    [0xB6] = {INSN_MOVZX, REG, RM, SRC8},
    [0xB7] = {INSN_MOVZX, REG, RM, SRC16},
    [0xBA] = {.group = group8},
    [0xBB] = {INSN_BTC, RM, REG},
    [0xBE] = {INSN_MOVSX, REG, RM, SRC8},
    [0xBF] = {INSN_MOVSX, REG, RM, SRC16},
    PAIR(0xC0, INSN_XADD, RM, REG, 0),
    [0xC3] = {INSN_MOV, RM, REG, MEM | NP},
};

#pragma GCC diagnostic pop
/* clang-format on */

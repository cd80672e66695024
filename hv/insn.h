/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instruction decoder. It knows the forms that access memory-mapped devices, and the instructions that exit and whose
 * length the processor may not tell (SDM 2 "Instruction Format", APM 3 "Instruction Encoding").
 *
 * The decoder is pure: bytes in, description out. It allocates nothing, reads no guest memory and never looks past the
 * bytes that it is given, so a guest's code can't harm it. It refuses instructions that it does not know; it never
 * guesses.
 */
#pragma once

#include "host/x86.h"
#include "host/types.h"

#define INSN_MAX_LEN 15

/* Default operand and address size, from the code segment: CS.L gives INSN_64, else CS.D gives INSN_32. */
enum insn_mode { INSN_16, INSN_32, INSN_64 };

/* clang-format off */
enum insn_op {
    INSN_NONE, /* not in our tables */
    INSN_UD,   /* the processor raises #UD */

    /* Done by insn_exec. ADD to CMP are in the order of their encoding. */
    INSN_ADD, INSN_OR, INSN_ADC, INSN_SBB, INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP,
    INSN_TEST, INSN_NOT, INSN_NEG, INSN_INC, INSN_DEC,
    INSN_MOV, INSN_MOVZX, INSN_MOVSX, INSN_XCHG, INSN_XADD, INSN_CMPXCHG,
    INSN_BT, INSN_BTS, INSN_BTR, INSN_BTC,
    INSN_MOVS, INSN_STOS, INSN_LODS,

    /* Only decoded, for their length and operands. */
    INSN_INS, INSN_OUTS, INSN_HLT, INSN_CPUID, INSN_RDMSR, INSN_WRMSR, INSN_INVD, INSN_WBINVD, INSN_CLTS, INSN_LMSW,
    INSN_XSETBV, INSN_MOV_CR,
};
/* clang-format on */

enum operand_kind {
    OPERAND_NONE,
    OPERAND_REG, /* general register */
    OPERAND_MEM, /* insn.mem */
    OPERAND_IMM, /* insn.imm */
    OPERAND_CR,  /* control register, by number */
};

struct insn_operand {
    u8 kind;        /* enum operand_kind */
    u8 reg;         /* the register's number, if it is a register */
    bool high_byte; /* AH, CH, DH or BH: bits 15:8 of RAX to RBX */
};

struct insn_mem {
    u8 segment;        /* enum seg, overrides applied */
    s8 base, index;    /* enum gpr, -1 = none */
    u8 scale;          /* 1, 2, 4 or 8 */
    bool rip_relative; /* disp counts from the next instruction */
    s64 disp;
};

/*
 * A decoded instruction. Two-operand forms read src and write dst; one-operand forms use dst alone. String forms have
 * no operands: `mem` is the one string whose segment an override changes (the source), or the destination of STOS and
 * INS, see insn_exec.h.
 */
struct insn {
    u8 op;        /* enum insn_op */
    u8 mode;      /* enum insn_mode it was decoded in */
    u8 len;       /* bytes, 1 to 15 */
    u8 size;      /* operand size in bytes: 1, 2, 4 or 8 */
    u8 src_size;  /* the same; for MOVZX and MOVSX the size of the source */
    u8 addr_size; /* address size in bytes: 2, 4 or 8 */
    bool rep;     /* F2 or F3 */
    bool lock;
    struct insn_operand dst, src;
    struct insn_mem mem;
    u64 imm; /* sign-extended to 64 bits */
};

/* The processor state that addresses are made of. */
struct insn_context {
    u64 *regs; /* NR_GPRS general registers, indexed by enum gpr */
    u64 rip;   /* address of the instruction */
    u64 rflags;
    u64 segment_base[6]; /* SEG_ES to SEG_GS */
};

/*
 * Decode the instruction at bytes[0..available). Returns 0, or
 *   -EAGAIN   more bytes are needed: the instruction runs past `available`
 *   -EINVAL   the processor would fault (#UD, or #GP when longer than 15 bytes)
 *   -ENOTSUP  the decoder does not know the instruction (VEX and EVEX forms, for example)
 * Never reads past 15 bytes. *insn is undefined unless 0 is returned.
 */
int insn_decode(struct insn *insn, enum insn_mode mode, const u8 *bytes, size_t available);

/*
 * Linear address of insn->mem: the effective address, cut to the address size, plus the segment's base.
 */
u64 insn_effective_address(const struct insn *insn, const struct insn_context *context);

/*
 * Linear address of an offset in a segment, as insn_effective_address forms it; for the implicit operands of string
 * instructions.
 */
u64 insn_linear_address(const struct insn *insn, const struct insn_context *context, enum seg segment, u64 offset);

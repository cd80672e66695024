/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opcode tables of the instruction decoder. Each opcode has one row: the instruction, where its operands are encoded,
 * and what is special about it.
 */
#pragma once

#include "hv/insn.h"
#include "host/types.h"

/* Where an operand is encoded. The places from RM to CREG need a ModRM byte. */
enum place {
    NONE,
    RM,     /* ModRM.rm: register or memory */
    GPR,    /* ModRM.rm: register whatever mod says */
    REG,    /* ModRM.reg */
    CREG,   /* ModRM.reg: control register */
    ACC,    /* AL, AX, EAX or RAX */
    IMM,    /* signed immediate of the operand size, at most 4 bytes */
    IMM8,   /* signed byte */
    OFFSET, /* memory whose address is in the instruction */
    SI,     /* string at DS:rSI, may be overridden */
    DI,     /* string at ES:rDI */
};

enum opcode_flags {
    BYTE = 1 << 0,      /* operands are 8 bits */
    WORD = 1 << 1,      /* operands are 16 bits */
    SRC8 = 1 << 2,      /* source is 8 bits */
    SRC16 = 1 << 3,     /* source is 16 bits */
    SRC32 = 1 << 4,     /* source is at most 32 bits */
    MAX32 = 1 << 5,     /* operands are at most 32 bits */
    FIXED64 = 1 << 6,   /* operands are 64 bits in 64-bit mode, else 32 */
    MEM = 1 << 7,       /* the register form is #UD */
    NO64 = 1 << 8,      /* #UD in 64-bit mode */
    ONLY64 = 1 << 9,    /* in 64-bit mode alone; elsewhere another instruction that we do not decode */
    NP = 1 << 10,       /* another instruction if prefix 66, F2 or F3 is there */
    MODRM_D1 = 1 << 11, /* another instruction unless ModRM is D1 */
};

struct opcode {
    u8 op;       /* enum insn_op; INSN_NONE if we don't decode it */
    u8 dst, src; /* enum place */
    u16 flags;
    const struct opcode *group; /* eight rows chosen by ModRM.reg; this row's flags add to theirs */
};

/* By opcode byte: the first one, or the one after 0F. A group's row has no op of its own. */
extern const struct opcode opcodes_one_byte[256];
extern const struct opcode opcodes_0f[256];

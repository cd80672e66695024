/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/insn.c hv/insn_opcodes.c hv/insn_exec.c tests/fuzz/fuzz_insn.c */
/* Decoder: encodings by hand in each mode, what is refused, addresses, and the fuzzer's body on random bytes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/insn.h"
#include "hv/insn_exec.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct encoding {
    const char *text;
    enum insn_mode mode;
    u8 bytes[INSN_MAX_LEN + 1];
    u8 len; /* expected, like all below */
    u8 op, size, dst, src;
};

/* Shorthand for operands: registers by number, memory and immediates by kind. */
enum { NO = 0xF0, M, I, H = 0x40 /* high byte of a register */ };

/* clang-format off */
static const struct encoding encodings[] = {
    {"mov [rax], ecx", INSN_64, {0x89, 0x08}, 2, INSN_MOV, 4, M, RCX},
    {"mov [rax], cl", INSN_64, {0x88, 0x08}, 2, INSN_MOV, 1, M, RCX},
    {"mov [rax], ah", INSN_64, {0x88, 0x20}, 2, INSN_MOV, 1, M, H | RAX},
    {"mov [rax], spl", INSN_64, {0x40, 0x88, 0x20}, 3, INSN_MOV, 1, M, RSP},
    {"mov [r8], r9", INSN_64, {0x4D, 0x89, 0x08}, 3, INSN_MOV, 8, M, R9},
    {"mov eax, [rip+4]", INSN_64, {0x8B, 0x05, 4, 0, 0, 0}, 6, INSN_MOV, 4, RAX, M},
    {"mov ax, [rax+rcx*4+1]", INSN_64, {0x66, 0x8B, 0x44, 0x88, 1}, 5, INSN_MOV, 2, RAX, M},
    {"mov eax, [abs64]", INSN_64, {0xA1, 1, 2, 3, 4, 5, 6, 7, 8}, 9, INSN_MOV, 4, RAX, M},
    {"mov [abs32], al in 64-bit mode", INSN_64, {0x67, 0xA2, 1, 2, 3, 4}, 6, INSN_MOV, 1, M, RAX},
    {"mov [abs32], eax", INSN_32, {0xA3, 1, 2, 3, 4}, 5, INSN_MOV, 4, M, RAX},
    {"mov [abs16], ax", INSN_16, {0xA3, 1, 2}, 3, INSN_MOV, 2, M, RAX},
    {"mov dword [rdi], imm32", INSN_64, {0xC7, 0x07, 1, 2, 3, 4}, 6, INSN_MOV, 4, M, I},
    {"mov qword [rdi], imm32", INSN_64, {0x48, 0xC7, 0x07, 1, 2, 3, 4}, 7, INSN_MOV, 8, M, I},
    {"mov word [bx+si+0x1234], imm16", INSN_16, {0xC7, 0x80, 0x34, 0x12, 1, 2}, 6, INSN_MOV, 2, M, I},
    {"mov byte [0x1234], imm8", INSN_16, {0xC6, 0x06, 0x34, 0x12, 1}, 5, INSN_MOV, 1, M, I},
    {"mov eax, [esi] from 16-bit code", INSN_16, {0x66, 0x67, 0x8B, 0x06}, 4, INSN_MOV, 4, RAX, M},
    {"mov eax, [bp+8] from 32-bit code", INSN_32, {0x67, 0x8B, 0x46, 8}, 4, INSN_MOV, 4, RAX, M},
    {"movnti [rdx], rax", INSN_64, {0x48, 0x0F, 0xC3, 0x02}, 4, INSN_MOV, 8, M, RAX},
    {"movzx eax, byte [rdx]", INSN_64, {0x0F, 0xB6, 0x02}, 3, INSN_MOVZX, 4, RAX, M},
    {"movzx eax, ah", INSN_64, {0x0F, 0xB6, 0xC4}, 3, INSN_MOVZX, 4, RAX, H | RAX},
    {"movsx rax, word [rdx]", INSN_64, {0x48, 0x0F, 0xBF, 0x02}, 4, INSN_MOVSX, 8, RAX, M},
    {"movsxd rax, dword [rdx]", INSN_64, {0x48, 0x63, 0x02}, 3, INSN_MOVSX, 8, RAX, M},
    {"or dword [rax], imm8", INSN_64, {0x83, 0x08, 0x80}, 3, INSN_OR, 4, M, I},
    {"and byte [rax], imm8", INSN_64, {0x80, 0x20, 0x80}, 3, INSN_AND, 1, M, I},
    {"xor [rax], edx", INSN_64, {0x31, 0x10}, 2, INSN_XOR, 4, M, RDX},
    {"add edx, [rax]", INSN_64, {0x03, 0x10}, 2, INSN_ADD, 4, RDX, M},
    {"cmp al, imm8", INSN_64, {0x3C, 1}, 2, INSN_CMP, 1, RAX, I},
    {"sbb rax, imm32", INSN_64, {0x48, 0x1D, 1, 2, 3, 4}, 6, INSN_SBB, 8, RAX, I},
    {"lock add [rax], edx", INSN_64, {0xF0, 0x01, 0x10}, 3, INSN_ADD, 4, M, RDX},
    {"test dword [rax], imm32", INSN_64, {0xF7, 0x00, 1, 2, 3, 4}, 6, INSN_TEST, 4, M, I},
    {"not byte [rax]", INSN_64, {0xF6, 0x10}, 2, INSN_NOT, 1, M, NO},
    {"inc dword [rax]", INSN_64, {0xFF, 0x00}, 2, INSN_INC, 4, M, NO},
    {"xchg [rax], edx", INSN_64, {0x87, 0x10}, 2, INSN_XCHG, 4, M, RDX},
    {"lock bts [rax], edx", INSN_64, {0xF0, 0x0F, 0xAB, 0x10}, 4, INSN_BTS, 4, M, RDX},
    {"btr dword [rax], imm8", INSN_64, {0x0F, 0xBA, 0x30, 5}, 4, INSN_BTR, 4, M, I},
    {"lock cmpxchg [rcx], rdx", INSN_64, {0xF0, 0x48, 0x0F, 0xB1, 0x11}, 5, INSN_CMPXCHG, 8, M, RDX},
    {"rep stosd", INSN_64, {0xF3, 0xAB}, 2, INSN_STOS, 4, NO, NO},
    {"movsb fs:", INSN_64, {0x64, 0xA4}, 2, INSN_MOVS, 1, NO, NO},
    {"lodsw", INSN_16, {0xAD}, 1, INSN_LODS, 2, NO, NO},
    {"rep outsb", INSN_64, {0xF3, 0x6E}, 2, INSN_OUTS, 1, NO, NO},
    {"insd with REX.W", INSN_64, {0x48, 0x6D}, 2, INSN_INS, 4, NO, NO},
    {"hlt", INSN_16, {0xF4}, 1, INSN_HLT, 2, NO, NO},
    {"cpuid behind useless prefixes", INSN_64, {0x2E, 0x66, 0x0F, 0xA2}, 4, INSN_CPUID, 2, NO, NO},
    {"xsetbv", INSN_64, {0x0F, 0x01, 0xD1}, 3, INSN_XSETBV, 4, NO, NO},
    {"lmsw [disp16]", INSN_16, {0x0F, 0x01, 0x36, 0, 1}, 5, INSN_LMSW, 2, M, NO},
    {"lmsw eax", INSN_32, {0x0F, 0x01, 0xF0}, 3, INSN_LMSW, 2, RAX, NO},
};
/* clang-format on */

static u8 operand_code(struct insn_operand operand)
{
    switch (operand.kind) {
    case OPERAND_NONE: return NO;
    case OPERAND_MEM: return M;
    case OPERAND_IMM: return I;
    default: return operand.reg | (operand.high_byte ? H : 0);
    }
}

static void test_encodings(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(encodings); i++) {
        const struct encoding *e = &encodings[i];
        struct insn insn;
        int result = insn_decode(&insn, e->mode, e->bytes, sizeof(e->bytes));

        if (result || insn.len != e->len || insn.op != e->op || insn.size != e->size ||
            operand_code(insn.dst) != e->dst || operand_code(insn.src) != e->src)
            fail_msg("%s: result %d, len %u, op %u, size %u, dst %x, src %x", e->text, result, insn.len, insn.op,
                     insn.size, operand_code(insn.dst), operand_code(insn.src));
        for (unsigned available = 0; available < e->len; available++)
            assert_int_equal(insn_decode(&insn, e->mode, e->bytes, available), -EAGAIN);
    }
}

/* clang-format off */
static const struct {
    const char *text;
    enum insn_mode mode;
    int result;
    u8 bytes[INSN_MAX_LEN + 1];
} refused[] = {
    {"lock mov", INSN_64, -EINVAL, {0xF0, 0x89, 0x08}},
    {"lock add to a register", INSN_64, -EINVAL, {0xF0, 0x01, 0xC0}},
    {"lock cmp", INSN_64, -EINVAL, {0xF0, 0x39, 0x08}},
    {"ud2", INSN_64, -EINVAL, {0x0F, 0x0B}},
    {"or [rax], imm8 by 82 in 64-bit mode", INSN_64, -EINVAL, {0x82, 0x08, 1}},
    {"mov cr1, rax", INSN_64, -EINVAL, {0x0F, 0x22, 0xC8}},
    {"movnti with a register", INSN_32, -EINVAL, {0x0F, 0xC3, 0xC8}},
    {"16 bytes", INSN_64, -EINVAL,
     {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x8B, 0x00}},
    {"VEX: vmovups [rax], ymm0", INSN_64, -ENOTSUP, {0xC5, 0xFC, 0x11, 0x00}},
    {"EVEX", INSN_64, -ENOTSUP, {0x62, 0xF1, 0x7C, 0x48, 0x11, 0x00}},
    {"movups [rax], xmm0", INSN_64, -ENOTSUP, {0x0F, 0x11, 0x00}},
    {"push [rax]", INSN_64, -ENOTSUP, {0xFF, 0x30}},
    {"arpl, which is movsxd in 64-bit mode", INSN_32, -ENOTSUP, {0x63, 0x02}},
    {"lgdt [rax], which is xsetbv with a register", INSN_64, -ENOTSUP, {0x0F, 0x01, 0x10}},
    {"xgetbv", INSN_64, -ENOTSUP, {0x0F, 0x01, 0xD0}},
    {"xsetbv with a prefix", INSN_64, -ENOTSUP, {0x66, 0x0F, 0x01, 0xD1}},
};
/* clang-format on */

static void test_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        struct insn insn;
        int result = insn_decode(&insn, refused[i].mode, refused[i].bytes, sizeof(refused[i].bytes));

        if (result != refused[i].result)
            fail_msg("%s: %d", refused[i].text, result);
    }
}

static struct insn decode(enum insn_mode mode, const u8 *bytes)
{
    struct insn insn;

    assert_int_equal(insn_decode(&insn, mode, bytes, INSN_MAX_LEN), 0);
    return insn;
}

#define DECODE(mode, ...) decode(mode, (const u8[INSN_MAX_LEN]){ __VA_ARGS__ })

static void test_longest(void **state)
{
    struct insn insn = DECODE(INSN_64, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                              0x8B, 0x00);

    (void)state;
    assert_int_equal(insn.len, 15);
    assert_int_equal(insn.size, 2);
}

static void test_rex_before_prefix_is_ignored(void **state)
{
    struct insn insn = DECODE(INSN_64, 0x48, 0x66, 0x89, 0x08);

    (void)state;
    assert_int_equal(insn.size, 2);
}

static void test_control_registers(void **state)
{
    struct insn to = DECODE(INSN_64, 0x44, 0x0F, 0x22, 0xC0), from = DECODE(INSN_32, 0x0F, 0x20, 0x1A);

    (void)state;
    assert_int_equal(to.dst.kind, OPERAND_CR);
    assert_int_equal(to.dst.reg, 8);
    assert_int_equal(to.src.reg, RAX);
    assert_int_equal(to.size, 8);
    assert_int_equal(from.src.kind, OPERAND_CR);
    assert_int_equal(from.src.reg, 3);
    assert_int_equal(from.dst.kind, OPERAND_REG); /* mod says memory, and is ignored */
    assert_int_equal(from.dst.reg, RDX);
    assert_int_equal(from.len, 3);
}

static void test_immediates(void **state)
{
    (void)state;
    assert_int_equal(DECODE(INSN_64, 0x48, 0xC7, 0x07, 0, 0, 0, 0x80).imm, 0xFFFFFFFF80000000);
    assert_int_equal(DECODE(INSN_64, 0x83, 0x08, 0xFF).imm, ~0ULL);
}

static u64 regs[NR_GPRS];
static struct insn_context context = {
    .regs = regs,
    .rip = 0x100000,
    .segment_base = { [SEG_ES] = 0x10000,
                      [SEG_CS] = 0x20000,
                      [SEG_SS] = 0x30000,
                      [SEG_DS] = 0x40000,
                      [SEG_FS] = 0xFFFF800000000000,
                      [SEG_GS] = 0x60000 },
};

static void test_effective_addresses(void **state)
{
    struct insn insn;

    (void)state;
    regs[RAX] = 0xFFFFFFFF00000010;
    regs[RBX] = 0x8000;
    regs[RBP] = 0x12348FFF;
    regs[RSI] = 0x7001;
    insn = DECODE(INSN_64, 0x8B, 0x44, 0x58, 0xFE); /* [rax+rbx*2-2] */
    assert_int_equal(insn_effective_address(&insn, &context), 0xFFFFFFFF0001000E);
    insn = DECODE(INSN_64, 0x67, 0x8B, 0x44, 0x58, 0xFE); /* [eax+ebx*2-2] */
    assert_int_equal(insn_effective_address(&insn, &context), 0x1000E);
    insn = DECODE(INSN_64, 0x64, 0x8B, 0x03); /* fs:[rbx] */
    assert_int_equal(insn_effective_address(&insn, &context), 0xFFFF800000008000);
    insn = DECODE(INSN_64, 0x64, 0x3E, 0x8B, 0x03); /* the DS override does not take FS away */
    assert_int_equal(insn_effective_address(&insn, &context), 0xFFFF800000008000);
    insn = DECODE(INSN_64, 0xC7, 0x05, 0xF0, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4); /* [rip-16], counted from the end */
    assert_int_equal(insn_effective_address(&insn, &context), 0x100000 + 10 - 16);
    insn = DECODE(INSN_32, 0x8B, 0x03); /* ds:[ebx] */
    assert_int_equal(insn_effective_address(&insn, &context), 0x48000);
    insn = DECODE(INSN_32, 0x8B, 0x45, 0x01); /* ss:[ebp+1] */
    assert_int_equal(insn_effective_address(&insn, &context), 0x12379000 + 0x0);
    insn = DECODE(INSN_32, 0x26, 0x8B, 0x45, 0x01); /* es:[ebp+1] */
    assert_int_equal(insn_effective_address(&insn, &context), 0x12359000);
    insn = DECODE(INSN_16, 0x8B, 0x02); /* ss:[bp+si], wraps at 64 KiB */
    assert_int_equal(insn_effective_address(&insn, &context), 0x30000);
    insn = DECODE(INSN_16, 0x8B, 0x06, 0x34, 0x12); /* ds:[0x1234] */
    assert_int_equal(insn_effective_address(&insn, &context), 0x41234);
}

static void test_random_bytes(void **state)
{
    u32 random = 1;

    (void)state;
    for (unsigned round = 0; round < 300000; round++) {
        u8 bytes[20];

        for (unsigned i = 0; i < sizeof(bytes); i++)
            bytes[i] = (u8)((random = random * 1103515245 + 12345) >> 16);
        if (round & 1)
            bytes[1 + (round >> 1) % 3] = 0x0F;
        LLVMFuzzerTestOneInput(bytes, 1 + random % (sizeof(bytes) - 1));
    }
}

/* Executing in modes that the test's own processor is not in. */

static u8 ram[256];

static int ram_read(void *ctx, u64 linear, unsigned size, u64 *value)
{
    (void)ctx;
    if (linear + size > sizeof(ram))
        return -EFAULT;
    *value = 0;
    memcpy(value, ram + linear, size);
    return 0;
}

static int ram_write(void *ctx, u64 linear, unsigned size, u64 value)
{
    (void)ctx;
    if (linear + size > sizeof(ram))
        return -EFAULT;
    memcpy(ram + linear, &value, size);
    return 0;
}

static int ram_probe_write(void *ctx, u64 linear, unsigned size)
{
    (void)ctx;
    return linear + size > sizeof(ram) ? -EFAULT : 0;
}

static const struct insn_memory memory = { .read = ram_read, .write = ram_write, .probe_write = ram_probe_write };

static int execute(struct insn_context *c, enum insn_mode mode, const u8 *bytes)
{
    struct insn insn = decode(mode, bytes);

    return insn_exec(&insn, c, &memory);
}

#define EXECUTE(c, mode, ...) execute(c, mode, (const u8[INSN_MAX_LEN]){ __VA_ARGS__ })

static void test_rep_movs_iterates(void **state)
{
    u64 r[NR_GPRS] = { [RCX] = 0xABCD00000003, [RSI] = 0x123400000010, [RDI] = 0x123400000080 };
    struct insn_context c = { .regs = r };

    (void)state;
    for (unsigned i = 0; i < sizeof(ram); i++)
        ram[i] = (u8)i;
    /* 32-bit addresses: counters and pointers are 32 bits wide, and writing them clears the upper halves. */
    assert_int_equal(EXECUTE(&c, INSN_64, 0x67, 0xF3, 0xA5), INSN_AGAIN);
    assert_int_equal(EXECUTE(&c, INSN_64, 0x67, 0xF3, 0xA5), INSN_AGAIN);
    assert_int_equal(EXECUTE(&c, INSN_64, 0x67, 0xF3, 0xA5), INSN_DONE);
    assert_memory_equal(ram + 0x80, ram + 0x10, 12);
    assert_int_equal(ram[0x8C], 0x8C);
    assert_int_equal(r[RCX], 0);
    assert_int_equal(r[RSI], 0x1C);
    assert_int_equal(r[RDI], 0x8C);
    assert_int_equal(EXECUTE(&c, INSN_64, 0xF3, 0xA5), INSN_DONE); /* nothing left to do */
    assert_int_equal(r[RDI], 0x8C);
}

static void test_string_16_bit_backwards(void **state)
{
    u64 r[NR_GPRS] = { [RAX] = 0x5566, [RDI] = 0xAAAA0000, [RCX] = 0x77770002 };
    struct insn_context c = { .regs = r, .rflags = RFLAGS_DF };

    (void)state;
    assert_int_equal(EXECUTE(&c, INSN_16, 0xF3, 0xAB), INSN_AGAIN);
    assert_int_equal(ram[0], 0x66);
    assert_int_equal(ram[1], 0x55);
    assert_int_equal(r[RDI], 0xAAAAFFFE); /* the pointer wraps in 16 bits and leaves the rest alone */
    assert_int_equal(r[RCX], 0x77770001);
}

static void test_failed_access_changes_nothing(void **state)
{
    u64 r[NR_GPRS] = { [RAX] = 0x1000, [RCX] = 5, [RSI] = 16, [RDI] = 0x1000 }, before[NR_GPRS];
    struct insn_context c = { .regs = r, .rflags = RFLAGS_CF };

    (void)state;
    memcpy(before, r, sizeof(r));
    assert_int_equal(EXECUTE(&c, INSN_64, 0x8B, 0x08), -EFAULT);          /* mov ecx, [rax] */
    assert_int_equal(EXECUTE(&c, INSN_64, 0x11, 0x08), -EFAULT);          /* adc [rax], ecx */
    assert_int_equal(EXECUTE(&c, INSN_64, 0x87, 0x08), -EFAULT);          /* xchg [rax], ecx */
    assert_int_equal(EXECUTE(&c, INSN_64, 0x0F, 0xC1, 0x08), -EFAULT);    /* xadd [rax], ecx */
    assert_int_equal(EXECUTE(&c, INSN_64, 0x0F, 0xB1, 0x08), -EFAULT);    /* cmpxchg [rax], ecx */
    assert_int_equal(EXECUTE(&c, INSN_64, 0x0F, 0xBA, 0x28, 1), -EFAULT); /* bts [rax], 1 */
    assert_int_equal(EXECUTE(&c, INSN_64, 0xF3, 0xA4), -EFAULT);          /* rep movsb, to a bad address */
    assert_memory_equal(before, r, sizeof(r));
    assert_int_equal(c.rflags, RFLAGS_CF);
}

static void test_decoded_only(void **state)
{
    u64 r[NR_GPRS] = { 0 };
    struct insn_context c = { .regs = r };

    (void)state;
    assert_int_equal(EXECUTE(&c, INSN_64, 0x0F, 0xA2), -ENOTSUP);
    assert_int_equal(EXECUTE(&c, INSN_64, 0x6C), -ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_rex_before_prefix_is_ignored),
        cmocka_unit_test(test_control_registers),
        cmocka_unit_test(test_immediates),
        cmocka_unit_test(test_effective_addresses),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_rep_movs_iterates),
        cmocka_unit_test(test_string_16_bit_backwards),
        cmocka_unit_test(test_failed_access_changes_nothing),
        cmocka_unit_test(test_decoded_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/insn.c hv/insn_opcodes.c */
/* libs: -lcapstone */
/*
 * Whatever our decoder accepts, an independent disassembler must find valid and of the same length: random bytes,
 * biased to the prefixes and opcodes that we know, in all three modes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <capstone/capstone.h>
#include <cmocka.h>

#include "hv/insn.h"

#define ROUNDS 400000

static u32 random_state = 1;

static u8 random_byte(void)
{
    random_state = random_state * 1103515245 + 12345;
    return (u8)(random_state >> 16);
}

static void random_bytes(u8 *bytes)
{
    static const u8 prefixes[] = { 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0x66, 0x67, 0xF0, 0xF2, 0xF3 };
    unsigned i = 0;

    while (random_byte() < 100 && i < 4)
        bytes[i++] = prefixes[random_byte() % sizeof(prefixes)];
    if (random_byte() & 1)
        bytes[i++] = 0x40 | (random_byte() & 15);
    if (random_byte() & 1)
        bytes[i++] = 0x0F;
    while (i < INSN_MAX_LEN)
        bytes[i++] = random_byte();
}

/*
 * What capstone 4 gets wrong: it refuses "MOV accumulator, [offset]" with both 66 and a repeat prefix, which processors
 * ignore.
 */
static bool is_capstone_defect(const struct insn *insn, const u8 *bytes)
{
    return insn->op == INSN_MOV && insn->rep && insn->len > insn->addr_size &&
           (bytes[insn->len - insn->addr_size - 1] & 0xFC) == 0xA0;
}

static void print_disagreement(const struct insn *insn, const u8 *bytes, unsigned theirs)
{
    printf("mode %u, ours %u (op %u), theirs %u:", insn->mode, insn->len, insn->op, theirs);
    for (unsigned i = 0; i < INSN_MAX_LEN; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
}

static void test_mode(enum insn_mode mode, cs_mode theirs)
{
    unsigned accepted = 0, disagreements = 0;
    csh handle;
    cs_insn *disassembled;

    assert_int_equal(cs_open(CS_ARCH_X86, theirs, &handle), CS_ERR_OK);
    disassembled = cs_malloc(handle);
    for (unsigned round = 0; round < ROUNDS; round++) {
        u8 bytes[INSN_MAX_LEN];
        const u8 *code = bytes;
        size_t size = sizeof(bytes);
        u64 address = 0;
        struct insn insn;
        bool valid;

        random_bytes(bytes);
        if (insn_decode(&insn, mode, bytes, sizeof(bytes)))
            continue;
        accepted++;
        valid = cs_disasm_iter(handle, &code, &size, &address, disassembled);
        if ((!valid || disassembled->size != insn.len) && !is_capstone_defect(&insn, bytes)) {
            print_disagreement(&insn, bytes, valid ? disassembled->size : 0);
            disagreements++;
        }
    }
    cs_free(disassembled, 1);
    cs_close(&handle);
    assert_true(accepted > ROUNDS / 20);
    assert_int_equal(disagreements, 0);
}

static void test_16(void **state)
{
    (void)state;
    test_mode(INSN_16, CS_MODE_16);
}

static void test_32(void **state)
{
    (void)state;
    test_mode(INSN_32, CS_MODE_32);
}

static void test_64(void **state)
{
    (void)state;
    test_mode(INSN_64, CS_MODE_64);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_16), cmocka_unit_test(test_32),
                                        cmocka_unit_test(test_64) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

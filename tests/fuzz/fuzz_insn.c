/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/insn.c hv/insn_opcodes.c hv/insn_exec.c */
/*
 * libFuzzer entry for the instruction decoder: the first byte chooses the mode, the rest is what a guest would execute.
 * Build with clang -fsanitize=fuzzer,address,undefined. tests/unit/hv/test_insn.c runs the same body on random bytes.
 */
#include <errno.h>

#include "tests/fuzz/fuzz.h"
#include "hv/insn.h"
#include "hv/insn_exec.h"

static int read_memory(void *ctx, u64 linear, unsigned size, u64 *value)
{
    *value = *(u64 *)ctx ^ linear; /* upper bytes are junk on purpose */
    REQUIRE(size == 1 || size == 2 || size == 4 || size == 8);
    return 0;
}

static int write_memory(void *ctx, u64 linear, unsigned size, u64 value)
{
    *(u64 *)ctx += value ^ linear;
    REQUIRE(size == 8 || value < BIT(8 * size));
    return 0;
}

static int probe_write(void *ctx, u64 linear, unsigned size)
{
    *(u64 *)ctx += linear + size;
    return 0;
}

static void execute(const struct insn *insn)
{
    u64 regs[NR_GPRS], memory = 0x0123456789ABCDEF;
    struct insn_context context = { .regs = regs, .rip = 0xFFFFFFF0, .segment_base = { 16, 32, 48, 64, 80, 96 } };
    struct insn_memory callbacks = {
        .ctx = &memory,
        .read = read_memory,
        .write = write_memory,
        .probe_write = probe_write,
    };
    int result;

    for (unsigned i = 0; i < NR_GPRS; i++)
        regs[i] = 0x9E3779B97F4A7C15 * (i + insn->len);
    result = insn_exec(insn, &context, &callbacks);
    REQUIRE(result == INSN_DONE || result == INSN_AGAIN || result == -ENOTSUP);
    REQUIRE(result != INSN_AGAIN || insn->rep);
    if (insn->mode != INSN_64)
        REQUIRE(insn_effective_address(insn, &context) <= 0xFFFFFFFF);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct insn insn, shorter;
    enum insn_mode mode;
    int result;

    if (size == 0)
        return 0;
    mode = data[0] % 3;
    result = insn_decode(&insn, mode, data + 1, size - 1);
    REQUIRE(result == 0 || result == -EAGAIN || result == -EINVAL || result == -ENOTSUP);
    REQUIRE(result != -EAGAIN || size - 1 < INSN_MAX_LEN);
    if (result)
        return 0;

    REQUIRE(insn.len >= 1 && insn.len <= INSN_MAX_LEN && insn.len < size);
    for (unsigned available = 0; available < insn.len; available++)
        REQUIRE(insn_decode(&shorter, mode, data + 1, available) == -EAGAIN);
    REQUIRE(insn_decode(&shorter, mode, data + 1, insn.len) == 0 && memcmp(&insn, &shorter, sizeof(insn)) == 0);
    execute(&insn);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/insn.c hv/insn_opcodes.c hv/insn_exec.c */
/*
 * insn_exec against the processor that runs this test: random instructions with a memory or register operand are
 * executed natively on random registers, flags and memory, and by us on a copy. Registers, memory and defined flags
 * must come out equal.
 */
#include <asm/prctl.h>
#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/insn.h"
#include "hv/insn_exec.h"

#define ROUNDS 100000
#define RAM_SIZE 4096
#define ALL_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* What native_run loads before the instruction and saves after it; its assembly knows the offsets. */
struct native {
    u64 regs[NR_GPRS];
    u64 rflags;
    u64 code;
    u64 stack; /* ours, while the registers are the instruction's */
};
static_assert(offsetof(struct native, rflags) == 128 && offsetof(struct native, stack) == 144, "known to the assembly");

struct native native;
void native_run(void);
void native_return(void);

/* All registers are the instruction's, the stack pointer too: nothing may use a stack in between, and flags go first.
 */
__asm__(".text\n"
        "native_run:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, native+144(%rip)\n"
        "    pushq native+128(%rip); popfq\n"
        "    mov native+0(%rip), %rax;   mov native+8(%rip), %rcx\n"
        "    mov native+16(%rip), %rdx;  mov native+24(%rip), %rbx\n"
        "    mov native+32(%rip), %rsp;  mov native+40(%rip), %rbp\n"
        "    mov native+48(%rip), %rsi;  mov native+56(%rip), %rdi\n"
        "    mov native+64(%rip), %r8;   mov native+72(%rip), %r9\n"
        "    mov native+80(%rip), %r10;  mov native+88(%rip), %r11\n"
        "    mov native+96(%rip), %r12;  mov native+104(%rip), %r13\n"
        "    mov native+112(%rip), %r14; mov native+120(%rip), %r15\n"
        "    jmp *native+136(%rip)\n"
        "native_return:\n"
        "    mov %rax, native+0(%rip);   mov %rcx, native+8(%rip)\n"
        "    mov %rdx, native+16(%rip);  mov %rbx, native+24(%rip)\n"
        "    mov %rsp, native+32(%rip);  mov %rbp, native+40(%rip)\n"
        "    mov %rsi, native+48(%rip);  mov %rdi, native+56(%rip)\n"
        "    mov %r8, native+64(%rip);   mov %r9, native+72(%rip)\n"
        "    mov %r10, native+80(%rip);  mov %r11, native+88(%rip)\n"
        "    mov %r12, native+96(%rip);  mov %r13, native+104(%rip)\n"
        "    mov %r14, native+112(%rip); mov %r15, native+120(%rip)\n"
        "    mov native+144(%rip), %rsp\n"
        "    pushfq; popq native+128(%rip)\n"
        "    cld\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n");

/*
 * Below 4 GiB, so that 32-bit addresses reach it: a page of code, then the memory that instructions work on, with a
 * copy for us.
 */
static u8 *code, *ram;
static u8 copy[RAM_SIZE];
static u64 random_state = 1;

static u64 random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Values near the edges of each size make carries and overflows likely. */
static u64 random_value(void)
{
    u64 value = random_number() >> random_number() % 64;

    return random_number() & 1 ? value : -value;
}

static int copy_read(void *ctx, u64 linear, unsigned size, u64 *value)
{
    u64 offset = linear - (u64)ram;

    (void)ctx;
    if (offset > RAM_SIZE - size)
        return -EFAULT;
    memcpy(value, copy + offset, size);
    return 0;
}

static int copy_write(void *ctx, u64 linear, unsigned size, u64 value)
{
    u64 offset = linear - (u64)ram;

    (void)ctx;
    if (offset > RAM_SIZE - size)
        return -EFAULT;
    memcpy(copy + offset, &value, size);
    return 0;
}

/* Processors differ in whether a failed CMPXCHG clears the upper half of a 32-bit register destination. */
static bool is_comparable(const struct insn *insn)
{
    return insn->op >= INSN_ADD && insn->op <= INSN_LODS && (insn->op != INSN_CMPXCHG || insn->dst.kind == OPERAND_MEM);
}

/* A random instruction of those that insn_exec executes. */
static struct insn random_insn(u8 *bytes)
{
    static const u8 prefixes[] = { 0x66, 0x67, 0x66, 0x67, 0x64, 0x65, 0xF0, 0xF3 };
    struct insn insn;

    do {
        unsigned i = 0;

        while (random_number() % 4 == 0 && i < 3)
            bytes[i++] = prefixes[random_number() % sizeof(prefixes)];
        if (random_number() & 1)
            bytes[i++] = 0x40 | (random_number() & 15);
        if (random_number() & 1)
            bytes[i++] = 0x0F;
        while (i < INSN_MAX_LEN)
            bytes[i++] = (u8)random_number();
    } while (insn_decode(&insn, INSN_64, bytes, INSN_MAX_LEN) || !is_comparable(&insn));
    return insn;
}

/*
 * Choose registers so that the memory operand lies in the middle of ram. False if the instruction leaves no room for
 * that. A base that is an index as well would need a division, an address of its own is not ours, and one that is
 * relative to rip is tested by hand.
 */
static bool aim(const struct insn *insn, struct insn_context *context)
{
    bool string = insn->op >= INSN_MOVS && insn->op <= INSN_LODS;
    u64 address = (u64)ram + RAM_SIZE / 2 + random_number() % 64;

    /* A locked access across two lines of the cache stops all processors of the machine, and Linux makes who does it
     * wait: seconds for one instruction. */
    if (insn->lock || insn->op == INSN_XCHG)
        address &= ~7UL;
    if (string) {
        context->regs[RCX] = random_number() % 16;
        if (insn->addr_size == 4) /* with a count of 0 some processors clear the upper halves of RSI and RDI */
            context->regs[RCX] |= 1;
        context->regs[RDI] = address + 256;
    }
    if (insn->dst.kind != OPERAND_MEM && insn->src.kind != OPERAND_MEM && !string)
        return true;
    if (insn->mem.base < 0 || insn->mem.base == insn->mem.index)
        return false;
    context->regs[insn->mem.base] += address - insn_effective_address(insn, context);
    if (insn->op >= INSN_BT && insn->op <= INSN_BTC && insn->src.kind == OPERAND_REG) {
        if (insn->src.reg == insn->mem.base || insn->src.reg == insn->mem.index)
            return false;
        context->regs[insn->src.reg] = random_number() % 4096 - 2048;
    }
    return insn_effective_address(insn, context) == address;
}

static void run_native(const struct insn *insn, const u8 *bytes, const struct insn_context *context)
{
    static const u8 jump[] = { 0xFF, 0x25, 0, 0, 0, 0 }; /* jmp *(%rip), and the address follows */
    u64 target = (u64)native_return;

    memcpy(code, bytes, insn->len);
    memcpy(code + insn->len, jump, sizeof(jump));
    memcpy(code + insn->len + sizeof(jump), &target, sizeof(target));
    memcpy(native.regs, context->regs, sizeof(native.regs));
    native.rflags = context->rflags;
    native.code = (u64)code;
    native_run();
}

/* Flags that are the same on every processor after the instruction. */
static u64 defined_flags(const struct insn *insn)
{
    if (insn->op >= INSN_BT && insn->op <= INSN_BTC)
        return RFLAGS_CF | RFLAGS_ZF;
    if (insn->op == INSN_AND || insn->op == INSN_OR || insn->op == INSN_XOR || insn->op == INSN_TEST)
        return ALL_FLAGS & ~RFLAGS_AF;
    return ALL_FLAGS;
}

static void print_bytes(const struct insn *insn, const u8 *bytes)
{
    printf("op %u, size %u:", insn->op, insn->size);
    for (unsigned i = 0; i < insn->len; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
}

static bool agree(const struct insn *insn, const struct insn_context *context)
{
    for (unsigned i = 0; i < NR_GPRS; i++) {
        if (native.regs[i] != context->regs[i]) {
            printf("register %u: processor %lx, ours %lx\n", i, native.regs[i], context->regs[i]);
            return false;
        }
    }
    if ((native.rflags ^ context->rflags) & defined_flags(insn)) {
        printf("flags: processor %llx, ours %llx\n", native.rflags & ALL_FLAGS, context->rflags & ALL_FLAGS);
        return false;
    }
    return memcmp(ram, copy, RAM_SIZE) == 0;
}

static void randomize(struct insn_context *context)
{
    for (unsigned i = 0; i < NR_GPRS; i++)
        context->regs[i] = random_value();
    context->rflags = (random_number() & (ALL_FLAGS | RFLAGS_DF)) | RFLAGS_FIXED1 | RFLAGS_IF;
    for (unsigned i = 0; i < RAM_SIZE; i += 8) {
        u64 value = random_value();

        memcpy(ram + i, &value, sizeof(value));
    }
    memcpy(copy, ram, RAM_SIZE);
}

static int copy_probe_write(void *ctx, u64 linear, unsigned size)
{
    (void)ctx;
    return linear - (u64)ram > RAM_SIZE - size ? -EFAULT : 0;
}

static void test_against_processor(void **state)
{
    static const struct insn_memory memory = {
        .read = copy_read,
        .write = copy_write,
        .probe_write = copy_probe_write,
    };
    u64 regs[NR_GPRS];
    struct insn_context context = { .regs = regs };
    unsigned tested[INSN_LODS + 1] = { 0 };

    (void)state;
    assert_int_equal(syscall(SYS_arch_prctl, ARCH_GET_FS, &context.segment_base[SEG_FS]), 0);
    assert_int_equal(syscall(SYS_arch_prctl, ARCH_GET_GS, &context.segment_base[SEG_GS]), 0);
    context.rip = (u64)code;
    for (unsigned round = 0; round < ROUNDS; round++) {
        u8 bytes[INSN_MAX_LEN];
        struct insn insn = random_insn(bytes);
        int result;

        if (round % 16 == 0)
            randomize(&context);
        if (!aim(&insn, &context))
            continue;
        memcpy(copy, ram, RAM_SIZE);
        run_native(&insn, bytes, &context);
        do
            result = insn_exec(&insn, &context, &memory);
        while (result == INSN_AGAIN);
        if (result || !agree(&insn, &context)) {
            print_bytes(&insn, bytes);
            fail_msg("round %u, result %d", round, result);
        }
        tested[insn.op]++;
    }
    for (unsigned op = INSN_ADD; op <= INSN_LODS; op++)
        if (tested[op] < 100)
            fail_msg("op %u was tested only %u times", op, tested[op]);
}

static int setup(void **state)
{
    (void)state;
    code = mmap(NULL, 4096 + RAM_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1,
                0);
    ram = code + 4096;
    return code == MAP_FAILED;
}

static int teardown(void **state)
{
    (void)state;
    return munmap(code, 4096 + RAM_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_against_processor) };

    return cmocka_run_group_tests(tests, setup, teardown);
}

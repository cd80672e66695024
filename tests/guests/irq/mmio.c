/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every form of memory access that the hypervisor must decode, on a register of the LAPIC that keeps 32 bits: the
 * timer's initial count, with the timer masked.
 */
#include "tests/guests/irq/irq.h"
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

#define REG lapic_mmio(LAPIC_TIMER_INITIAL)
#define REG_ADDRESS "0xFEE00380"
#define A 0x8C3355F0U
#define B 0x0FF0A5C3U

static void test_moves(void)
{
    u64 wide;
    u32 value = 0;
    u64 index = 0x10;

    asm volatile("movl %1, %0" : "=m"(*REG) : "r"(A));
    asm volatile("movl %1, %0" : "=r"(value) : "m"(*REG));
    report_equal("mov register", value, A);
    asm volatile("movl $0x12345678, %0" : "=m"(*REG));
    report_equal("mov immediate", *REG, 0x12345678);
    asm volatile("movabs %0, " REG_ADDRESS : : "a"(B) : "memory");
    asm volatile("xor %%eax, %%eax; movabs " REG_ADDRESS ", %0" : "=a"(value));
    report_equal("mov by absolute address", value, B);
    asm volatile("movl %1, 0x380(%2, %3, 8)\n\tmovl 0x280(%2, %3, 8), %%r12d\n\tmovl 0x380(%2, %3, 8), %0"
                 : "=r"(value)
                 : "r"(A), "r"(LAPIC_BASE - 0x80), "r"(index)
                 : "r12", "memory");
    report_equal("mov by base, index and displacement", value, A);
    asm volatile("mov %1, %%r13; movl -8(%%r13), %%r15d; mov %%r15d, %0"
                 : "=r"(value)
                 : "r"((u64)REG + 8)
                 : "r13", "r15");
    report_equal("mov with the upper registers", value, A);
    asm volatile("mov $-1, %0; movl %1, %k0" : "=&r"(wide) : "m"(*REG));
    report_equal("mov clears the upper half", wide, A);
    asm volatile("movslq %1, %0" : "=r"(wide) : "m"(*REG));
    report_equal("movslq", wide, (u64)(s64)(s32)A);
}

/* A form `op` in both directions, with a register and with an immediate. */
#define READ_MODIFY_WRITE(op, OP)                                                       \
    do {                                                                                \
        u32 value = B;                                                                  \
        bool zero, sign;                                                                \
                                                                                        \
        *REG = A;                                                                       \
        asm volatile(op "l %1, %0" : "+m"(*REG) : "r"(B) : "cc");                       \
        report_equal(op " to memory", *REG, A OP B);                                    \
        *REG = A;                                                                       \
        asm volatile(op "l $0x70, %0" : "+m"(*REG), "=@ccz"(zero), "=@ccs"(sign) : :);  \
        report_equal(op " small immediate", *REG, A OP 0x70);                           \
        report(op " flags", zero == ((A OP 0x70) == 0) && sign == ((A OP 0x70) >> 31)); \
        *REG = A;                                                                       \
        asm volatile(op "l $0x0FF0A5C3, %0" : "+m"(*REG) : : "cc");                     \
        report_equal(op " immediate", *REG, A OP B);                                    \
        *REG = A;                                                                       \
        asm volatile(op "l %1, %0" : "+r"(value) : "m"(*REG) : "cc");                   \
        report_equal(op " from memory", value, A OP B);                                 \
    } while (0)

static void test_comparisons(void)
{
    bool equal, below, zero, sign;

    *REG = A;
    asm volatile("cmpl %2, %3" : "=@ccz"(equal), "=@ccc"(below) : "r"(A), "m"(*REG));
    report("cmp with register, equal", equal && !below);
    asm volatile("cmpl %2, %3" : "=@ccz"(equal), "=@ccc"(below) : "r"(~0U), "m"(*REG));
    report("cmp with register, below", !equal && below);
    asm volatile("cmpl %3, %2" : "=@ccz"(equal), "=@ccc"(below) : "r"(B), "m"(*REG));
    report("cmp from memory", !equal && below);
    asm volatile("cmpl $0x70, %2" : "=@ccz"(equal), "=@ccc"(below) : "m"(*REG));
    report("cmp with small immediate", !equal && !below);
    asm volatile("cmpl $0x8C3355F0, %1" : "=@ccz"(equal) : "m"(*REG));
    report("cmp with immediate", equal);
    asm volatile("testl %2, %3" : "=@ccz"(zero), "=@ccs"(sign) : "r"(0x80000000), "m"(*REG));
    report("test with register", !zero && sign);
    asm volatile("testl $0x0F, %1" : "=@ccz"(zero) : "m"(*REG));
    report("test with immediate", zero);
}

static void test_stos(void)
{
    void *to = (void *)REG;
    u64 count = 1;

    asm volatile("stosl" : "+D"(to) : "a"(A) : "memory");
    report_equal("stos", *REG, A);
    report_equal("stos moves on", (u64)to, (u64)REG + 4);
    to = (void *)REG;
    asm volatile("std; rep stosl; cld" : "+D"(to), "+c"(count) : "a"(B) : "memory");
    report_equal("rep stos", *REG, B);
    report_equal("rep stos counts down", count, 0);
    report_equal("rep stos moves back", (u64)to, (u64)REG - 4);
}

/* The widths that registers of the LAPIC do not have, where nothing is: every byte reads as ones, no write is kept. */
static void test_widths(void)
{
    volatile u64 *hole = (u64 *)0xD0000000;
    u64 value;

    if (!boot.godwit) {
        report_skip("other widths", "another machine has other holes");
        return;
    }
    asm volatile("movzbl %1, %k0" : "=r"(value) : "m"(*hole));
    report_equal("movzx byte", value, 0xFF);
    asm volatile("movzwq %1, %0" : "=r"(value) : "m"(*hole));
    report_equal("movzx word", value, 0xFFFF);
    asm volatile("movsbq %1, %0" : "=r"(value) : "m"(*hole));
    report_equal("movsx byte", value, ~0ULL);
    asm volatile("xor %k0, %k0; movswl %1, %k0" : "=&r"(value) : "m"(*hole));
    report_equal("movsx word", value, 0xFFFFFFFF);
    asm volatile("xor %k0, %k0; movb %1, %h0" : "=&Q"(value) : "m"(*hole) : "cc");
    report_equal("mov to the second byte of a register", value, 0xFF00);
    asm volatile("mov $-256, %0; andw %1, %w0" : "=&r"(value) : "m"(*hole) : "cc");
    report_equal("and of a word", value, ~0xFFULL);
    asm volatile("movq $0, %1; movb $1, %1; mov %1, %0" : "=r"(value), "+m"(*hole));
    report_equal("mov of 8 bytes", value, ~0ULL);
}

/* mov (%rdi), %eax; ret, in two pages that are neighbours only by their linear addresses. */
static void test_fetch_across_pages(void)
{
    static const u8 code[] = { 0x8B, 0x07, 0xC3 };
    static u8 frames[3 * PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
    u8 *linear = (u8 *)PAGING_TEST + PAGE_SIZE - 1;
    u32 (*fn)(volatile u32 *) = (void *)linear;

    page_map(PAGING_TEST, (u64)&frames[2 * PAGE_SIZE], LEVEL_4K, PTE_P | PTE_W);
    page_map(PAGING_TEST + PAGE_SIZE, (u64)&frames[0], LEVEL_4K, PTE_P | PTE_W);
    memcpy(linear, code, sizeof(code));
    *REG = B;
    report_equal("an instruction across two pages", fn(REG), B);
    page_unmap(PAGING_TEST, LEVEL_4K);
    page_unmap(PAGING_TEST + PAGE_SIZE, LEVEL_4K);
}

void test_mmio_forms(void)
{
    report_prefix("mmio");
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | TIMER_VECTOR);
    test_moves();
    READ_MODIFY_WRITE("and", &);
    READ_MODIFY_WRITE("or", |);
    READ_MODIFY_WRITE("xor", ^);
    test_comparisons();
    test_stos();
    test_widths();
    test_fetch_across_pages();
    lapic_timer_stop();
}

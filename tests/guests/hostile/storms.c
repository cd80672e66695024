/* SPDX-License-Identifier: BSD-2-Clause */
/* Too much of what is legal. */
#include "tests/guests/hostile/hostile.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

#define VECTOR 0x70
#define INTS 5000
#define FAULTS 1000
#define REWRITES 2000
#define DEPTH 24

static unsigned seen;

static void counting_handler(struct trap_frame *frame)
{
    (void)frame;
    seen++;
}

static void skipping_handler(struct trap_frame *frame)
{
    seen++;
    frame->rip += 2; /* UD2, and DIV by a register of 32 bits */
}

void attack_int_storm(void)
{
    trap_handle(VECTOR, counting_handler);
    trap_handle(X86_BP, counting_handler);
    trap_handle(X86_UD, skipping_handler);
    trap_handle(X86_DE, skipping_handler);
    seen = 0;
    for (int i = 0; i < INTS; i++)
        asm volatile("int %0; int3" : : "i"(VECTOR) : "memory");
    report_equal("int and int3", seen, 2 * INTS);
    seen = 0;
    for (int i = 0; i < FAULTS; i++) {
        u32 a = 1, d = 0;

        asm volatile("ud2; div %2" : "+a"(a), "+d"(d) : "r"(0) : "memory", "cc");
    }
    report_equal("undefined opcodes and divisions by 0", seen, 2 * FAULTS);
    trap_handle(VECTOR, NULL);
    trap_handle(X86_BP, NULL);
    trap_handle(X86_UD, NULL);
    trap_handle(X86_DE, NULL);
}

/* mov $imm32, %eax; ret: the immediate is rewritten before every call, by its own address and by an alias. */
void attack_self_modifying(void)
{
    static u8 code[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE))) = { 0xB8, 0, 0, 0, 0, 0xC3 };
    u32 (*volatile fn)(void) = (void *)code;
    unsigned wrong = 0;

    page_map(PAGING_TEST, (u64)code, LEVEL_4K, PTE_P | PTE_W);
    for (u32 i = 0; i < REWRITES; i++) {
        u8 *to = i % 2 ? code : (u8 *)PAGING_TEST;

        memcpy(to + 1, &i, sizeof(i));
        cpuid(0, 0); /* serialises, as the manual wants it for an alias, and makes an exit */
        wrong += fn() != i;
    }
    page_unmap(PAGING_TEST, LEVEL_4K);
    report_equal("calls of outdated code", wrong, 0);
}

static unsigned depth;

/* Touches the next page before it maps its own: the faults nest until DEPTH. */
static void recursing_handler(struct trap_frame *frame)
{
    static u8 target[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
    u64 address = read_cr2() & PAGE_MASK;

    (void)frame;
    if (++depth < DEPTH)
        *(volatile u8 *)(address + PAGE_SIZE) = 1;
    page_map(address, (u64)target, LEVEL_4K, PTE_P | PTE_W);
}

void attack_fault_recursion(void)
{
    trap_handle(X86_PF, recursing_handler);
    *(volatile u8 *)PAGING_TEST = 1;
    trap_handle(X86_PF, NULL);
    report_equal("nested page faults", depth, DEPTH);
    for (u64 i = 0; i < DEPTH; i++)
        page_unmap(PAGING_TEST + i * PAGE_SIZE, LEVEL_4K);
}

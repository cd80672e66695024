/* SPDX-License-Identifier: BSD-2-Clause */
/* One inline function for each instruction that C cannot say, named like the instruction. */
#pragma once

#include "tests/guests/kit/x86.h"
#include "host/types.h"

struct cpuid {
    u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid c;

    asm volatile("cpuid" : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx) : "a"(leaf), "c"(subleaf));
    return c;
}

/* Serialised by the fence, so that the code measured is not executed before or after its stamps. */
static inline u64 rdtsc(void)
{
    u32 low, high;

    asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (u64)high << 32 | low;
}

static inline u64 rdmsr(u32 index)
{
    u32 low, high;

    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (u64)high << 32 | low;
}

static inline void wrmsr(u32 index, u64 value)
{
    asm volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

#define PORT_ACCESS(suffix, type)                                         \
    static inline type in##suffix(u16 port)                               \
    {                                                                     \
        type value;                                                       \
                                                                          \
        asm volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port));  \
        return value;                                                     \
    }                                                                     \
    static inline void out##suffix(u16 port, type value)                  \
    {                                                                     \
        asm volatile("out" #suffix " %0, %1" : : "a"(value), "Nd"(port)); \
    }
PORT_ACCESS(b, u8)
PORT_ACCESS(w, u16)
PORT_ACCESS(l, u32)

#define CONTROL_REGISTER(reg)                                      \
    static inline u64 read_##reg(void)                             \
    {                                                              \
        u64 value;                                                 \
                                                                   \
        asm volatile("mov %%" #reg ", %0" : "=r"(value));          \
        return value;                                              \
    }                                                              \
    static inline void write_##reg(u64 value)                      \
    {                                                              \
        asm volatile("mov %0, %%" #reg : : "r"(value) : "memory"); \
    }
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(cr8)
CONTROL_REGISTER(dr0)
CONTROL_REGISTER(dr7)

static inline u64 xgetbv(u32 index)
{
    u32 low, high;

    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (u64)high << 32 | low;
}

static inline void xsetbv(u32 index, u64 value)
{
    asm volatile("xsetbv" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)));
}

static inline void invlpg(const volatile void *address)
{
    asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void cli(void)
{
    asm volatile("cli" : : : "memory");
}

static inline void sti(void)
{
    asm volatile("sti" : : : "memory");
}

/* Adjacent: an interrupt that is already pending wakes the HLT, because STI holds it back for one instruction. */
static inline void sti_hlt(void)
{
    asm volatile("sti; hlt" : : : "memory");
}

static inline void pause(void)
{
    asm volatile("pause");
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One inline function for each instruction that C cannot express. Nothing here decides a policy.
 *
 * Functions whose names end in `_guest` load values that a guest or a peer has chosen. They return NO_FAULT, or the
 * vector of the exception that the instruction raised. An exception in any other function is our bug.
 */
#pragma once

#include "host/fixup.h"
#include "host/types.h"

struct cpuid_regs {
    u32 eax, ebx, ecx, edx;
};

static inline struct cpuid_regs cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid_regs r;

    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline u64 rdmsr(u32 msr)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline int wrmsr_guest(u32 msr, u64 value)
{
    int vector;

    __asm__ volatile(MAY_FAULT("wrmsr") : "=a"(vector) : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
    return vector;
}

#ifdef GODWIT_UNIT
/* A unit test that lets time stand still defines this function. */
u64 unit_tsc(void) __attribute__((weak));
#endif

static inline u64 rdtsc(void)
{
    u32 low, high;

#ifdef GODWIT_UNIT
    if (unit_tsc)
        return unit_tsc();
#endif
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

#define DEFINE_PORT(suffix, type)                                             \
    static inline type in##suffix(u16 port)                                   \
    {                                                                         \
        type value;                                                           \
                                                                              \
        __asm__ volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port));  \
        return value;                                                         \
    }                                                                         \
    static inline void out##suffix(u16 port, type value)                      \
    {                                                                         \
        __asm__ volatile("out" #suffix " %0, %1" : : "a"(value), "Nd"(port)); \
    }

DEFINE_PORT(b, u8)
DEFINE_PORT(w, u16)
DEFINE_PORT(l, u32)
#undef DEFINE_PORT

#define DEFINE_REGISTER(name, reg)                                        \
    static inline u64 read_##name(void)                                   \
    {                                                                     \
        u64 value;                                                        \
                                                                          \
        __asm__ volatile("mov %%" reg ", %0" : "=r"(value) : : "memory"); \
        return value;                                                     \
    }                                                                     \
    static inline void write_##name(u64 value)                            \
    {                                                                     \
        __asm__ volatile("mov %0, %%" reg : : "r"(value) : "memory");     \
    }

DEFINE_REGISTER(cr0, "cr0")
DEFINE_REGISTER(cr2, "cr2")
DEFINE_REGISTER(cr3, "cr3")
DEFINE_REGISTER(cr4, "cr4")
DEFINE_REGISTER(dr0, "db0") /* DR0 to DR3 take any value (SDM 3B "Debug Address Registers") */
DEFINE_REGISTER(dr1, "db1")
DEFINE_REGISTER(dr2, "db2")
DEFINE_REGISTER(dr3, "db3")
DEFINE_REGISTER(dr6, "db6")
DEFINE_REGISTER(dr7, "db7")
#undef DEFINE_REGISTER

static inline int write_dr6_guest(u64 value)
{
    int vector;

    __asm__ volatile(MAY_FAULT("mov %1, %%db6") : "=&a"(vector) : "r"(value) : "memory");
    return vector;
}

static inline u64 read_rflags(void)
{
    u64 flags;

    __asm__ volatile("pushfq; popq %0" : "=r"(flags));
    return flags;
}

static inline u64 xgetbv(u32 index)
{
    u32 low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (u64)high << 32 | low;
}

static inline int xsetbv_guest(u32 index, u64 value)
{
    int vector;

    __asm__ volatile(MAY_FAULT("xsetbv") : "=a"(vector) : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)));
    return vector;
}

/* area: 64-byte aligned, as large as CPUID 0Dh says for the enabled components. */
static inline void xsave(void *area, u64 components)
{
    __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"((u32)components), "d"((u32)(components >> 32)) : "memory");
}

static inline int xrstor_guest(const void *area, u64 components)
{
    int vector;

    __asm__ volatile(MAY_FAULT("xrstor64 (%1)")
                     : "=a"(vector)
                     : "r"(area), "a"((u32)components), "d"((u32)(components >> 32))
                     : "memory");
    return vector;
}

/* area: 512 bytes, 16-byte aligned. */
static inline void fxsave(void *area)
{
    __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline int fxrstor_guest(const void *area)
{
    int vector;

    __asm__ volatile(MAY_FAULT("fxrstor64 (%1)") : "=&a"(vector) : "r"(area) : "memory");
    return vector;
}

static inline void invlpg(const void *address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void cpu_relax(void)
{
    __builtin_ia32_pause();
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/*
 * Sleep until an interrupt has been handled; interrupts are off again on return. `sti; hlt` is atomic: nothing is
 * lost between.
 */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* Take whatever interrupt is pending now. The nop ends sti's shadow. */
static inline void take_interrupts(void)
{
    __asm__ volatile("sti; nop; cli" : : : "memory");
}

static inline void __attribute__((noreturn)) halt_forever(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/guests/kit/xstate.h"

#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

#define CPUID_XSAVE BIT(26) /* CPUID.1:ECX */

#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)
#define XCR0_AVX512 BITS(7, 5) /* all three or none */
#define XCR0_TESTED (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512)

/* FXSAVE area, SDM 1 "FXSAVE Area". */
#define AREA_FCW 0
#define AREA_FTW 4
#define AREA_MXCSR 24
#define AREA_ST 32   /* 8 of 16 bytes, of which 10 are the register */
#define AREA_XMM 160 /* 16 of 16 bytes */
#define AREA_XSTATE_BV 512

#define FCW_PATTERN 0x0F7F   /* round to zero, extended precision, all masked */
#define FTW_PATTERN 0xFF     /* all registers are in use */
#define MXCSR_PATTERN 0x7F80 /* round to zero, all masked */

static u8 want[XSTATE_BYTES] __attribute__((aligned(64)));
static u8 got[XSTATE_BYTES] __attribute__((aligned(64)));
static u64 loaded; /* components; 0: by FXRSTOR */

u64 xstate_enable(void)
{
    u64 supported;

    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    if (!(cpuid(1, 0).ecx & CPUID_XSAVE))
        return 0;
    write_cr4(read_cr4() | CR4_OSXSAVE);
    supported = cpuid(0xD, 0).eax & XCR0_TESTED;
    xsetbv(0, supported);
    return supported;
}

static void put16(u8 *area, unsigned offset, u16 value)
{
    memcpy(area + offset, &value, sizeof(value));
}

static void put32(u8 *area, unsigned offset, u32 value)
{
    memcpy(area + offset, &value, sizeof(value));
}

static u32 get(const u8 *area, unsigned offset, unsigned size)
{
    u32 value = 0;

    memcpy(&value, area + offset, size);
    return value;
}

static void fill(u8 *p, unsigned size, u32 seed)
{
    for (unsigned i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        p[i] = (u8)(seed >> 24);
    }
}

/* Where XSAVE puts a component beyond the legacy area. */
static u8 *component(u8 *area, unsigned n, unsigned *size)
{
    struct cpuid c = cpuid(0xD, n);

    *size = c.eax;
    return area + c.ebx;
}

void xstate_pattern(u64 components, u32 seed)
{
    loaded = components;
    memset(want, 0, sizeof(want));
    put16(want, AREA_FCW, FCW_PATTERN);
    put16(want, AREA_FTW, FTW_PATTERN);
    put32(want, AREA_MXCSR, MXCSR_PATTERN);
    for (unsigned i = 0; i < 8; i++)
        fill(want + AREA_ST + 16 * i, 10, seed + i);
    fill(want + AREA_XMM, 16 * 16, seed + 8);
    for (unsigned n = 2; n < 8; n++) {
        unsigned size;

        if (components & BIT(n)) {
            u8 *p = component(want, n, &size);

            fill(p, size, seed + 8 + n);
        }
    }
    if (components) {
        memcpy(want + AREA_XSTATE_BV, &components, sizeof(components));
        vector_xload(want, components);
    } else {
        vector_fxload(want);
    }
}

static bool registers_equal(void)
{
    bool equal = memcmp(want + AREA_XMM, got + AREA_XMM, 16 * 16) == 0;

    for (unsigned i = 0; i < 8; i++)
        equal = equal && memcmp(want + AREA_ST + 16 * i, got + AREA_ST + 16 * i, 10) == 0;
    for (unsigned n = 2; n < 8; n++) {
        unsigned size;

        if (loaded & BIT(n)) {
            const u8 *p = component(want, n, &size);

            equal = equal && memcmp(p, got + (p - want), size) == 0;
        }
    }
    return equal;
}

bool xstate_survived(void)
{
    memset(got, 0, sizeof(got));
    if (loaded)
        vector_xstore(got, loaded);
    else
        vector_fxstore(got);
    return registers_equal() && get(got, AREA_FCW, 2) == FCW_PATTERN && get(got, AREA_FTW, 2) == FTW_PATTERN &&
           get(got, AREA_MXCSR, 4) == MXCSR_PATTERN;
}

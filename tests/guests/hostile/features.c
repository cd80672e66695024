/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What CPUID shows is what docs/cpuid.md promises, on every host: nothing beyond it, or a guest could come to rely on
 * what the next host lacks.
 */
#include "tests/guests/hostile/hostile.h"
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/report.h"
#include "config/guest_abi.h"
#include "host/bits.h"

#define TOPOLOGY_V2 0x1F
#define HIGHEST_BASIC 0xD
#define HIGHEST_EXTENDED 0x80000008
#define ALL ~0U

/* Bits that may be set. What is not listed is zero, the leaves of topology and XSAVE sizes excepted. */
static const struct {
    const char *name;
    u32 leaf, subleaf;
    struct cpuid allowed;
} leaves[] = {
    /* ecx: SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 x2APIC MOVBE POPCNT deadline AES XSAVE OSXSAVE AVX F16C RDRAND
     * hypervisor; edx: all but DS, ACPI, SS, TM, PBE and the reserved ones */
    { "features", 1, 0, { ALL, ALL, 0xFFF83203, 0x178BFBFF } },
    { "thermal", 6, 0, { BIT(2), 0, 0, 0 } },
    /* FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS RDSEED ADX SMAP CLFLUSHOPT CLWB SHA; UMIP; FSRM */
    { "structured features", 7, 0, { 0, 0x219C03A9, BIT(2), BIT(4) } },
    { "more structured features", 7, 1, { 0, 0, 0, 0 } },
    { "performance monitoring", 0xA, 0, { 0, 0, 0, 0 } },
    /* x87 SSE AVX; XSAVEOPT XSAVEC XGETBV1 */
    { "XCR0", 0xD, 0, { 7, ALL, ALL, 0 } },
    { "XSAVE forms", 0xD, 1, { 7, ALL, 0, 0 } },
    { "protection keys' state", 0xD, 9, { 0, 0, 0, 0 } },
    /* LAHF ABM PREFETCHW; AMD's copy of leaf 1, SYSCALL NX 1 GiB RDTSCP LM */
    { "extended features", 0x80000001, 0, { ALL, 0, 0x121, 0x2D93FBFF } },
    { "caches of level 2, not 3", 0x80000006, 0, { ALL, ALL, ALL, 0 } },
    { "power management, invariant TSC", 0x80000007, 0, { 0, 0, 0, 0 } },
    { "address sizes", HIGHEST_EXTENDED, 0, { ALL, 0, 0, 0 } },
    { "TSC frequency", 0x15, 0, { 0, 0, 0, 0 } },
    { "processor frequency", 0x16, 0, { 0, 0, 0, 0 } },
    { "SVM", 0x8000000A, 0, { 0, 0, 0, 0 } },
    { "topology, second list", TOPOLOGY_V2, 0, { 0, 0, 0, 0 } },
};

static bool within(struct cpuid shown, struct cpuid allowed)
{
    return !(shown.eax & ~allowed.eax || shown.ebx & ~allowed.ebx || shown.ecx & ~allowed.ecx ||
             shown.edx & ~allowed.edx);
}

void attack_features(void)
{
    if (!on_godwit("all"))
        return;
    report_equal("highest basic leaf", cpuid(0, 0).eax, HIGHEST_BASIC);
    report_equal("highest extended leaf", cpuid(0x80000000, 0).eax, HIGHEST_EXTENDED);
    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
        report(leaves[i].name, within(cpuid(leaves[i].leaf, leaves[i].subleaf), leaves[i].allowed));
    /* What we emulate is there whatever the host has. */
    report("x2APIC, deadline timer, hypervisor", !(~cpuid(1, 0).ecx & (BIT(21) | BIT(24) | BIT(31))));
    report_equal("address sizes of every host", cpuid(HIGHEST_EXTENDED, 0).eax, 40 | 48 << 8);
}

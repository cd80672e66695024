/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/vmx/multihit.h"

#include "host/asm.h"
#include "host/msr_index.h"
#include "host/bits.h"

#define GENUINE_INTEL_EBX 0x756E6547
#define AFFECTED_FAMILY 6

/* Of that family: Atom and Xeon Phi, whose instruction TLBs are others. */
static const u8 safe_models[] = {
    0x37, 0x4A, 0x4D, /* Silvermont */
    0x4C, 0x5A, 0x75, /* Airmont */
    0x5C, 0x5F, 0x7A, /* Goldmont, Goldmont Plus */
    0x86, 0x96, 0x9C, /* Tremont */
    0x57, 0x85,       /* Knights Landing, Knights Mill */
};

/* SDM 2A "CPUID", EAX of leaf 1; the extended model counts in family 6. */
static bool model_is_safe(u32 signature)
{
    u8 model = (u8)((signature >> 4 & 0xF) | (signature >> 12 & 0xF0));

    if ((signature >> 8 & 0xF) != AFFECTED_FAMILY)
        return true;
    for (unsigned i = 0; i < ARRAY_SIZE(safe_models); i++)
        if (safe_models[i] == model)
            return true;
    return false;
}

bool multihit_safe(const struct cpuid_regs *leaf0, u32 signature, u64 arch_capabilities)
{
    return leaf0->ebx != GENUINE_INTEL_EBX || (arch_capabilities & ARCH_CAPABILITIES_PSCHANGE_MC_NO) ||
           model_is_safe(signature);
}

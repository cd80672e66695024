/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine Check Error Avoidance on Page Size Change (CVE-2018-12207), from Intel's paper of that name: some processors
 * raise a machine check, which ends the machine, when code is fetched from a page that their instruction TLB holds in
 * two sizes. A guest can cause this if it may execute large EPT pages.
 */
#pragma once

#include "host/types.h"

struct cpuid_regs;

/*
 * May large EPT pages be executed on this processor? Decided by CPUID leaf 0, EAX of leaf 1 (`signature`), and
 * IA32_ARCH_CAPABILITIES (0 if the processor lacks that MSR).
 */
bool multihit_safe(const struct cpuid_regs *leaf0, u32 signature, u64 arch_capabilities);

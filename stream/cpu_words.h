/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest was shown of its processor, as words of the stream. The destination goes on showing the guest the same,
 * or refuses the move and names what its processor lacks. docs/cpuid.md. Pure.
 */
#pragma once

#include "hv/cpuid.h"
#include "stream/wire.h"

/* Write the policy as words; returns how many, at most WIRE_CPUID. */
unsigned cpu_words_make(const struct cpuid_policy *policy, struct wire_cpuid words[WIRE_CPUID]);

/*
 * Read the policy out of `count` words, if `host` can keep it: the vendor is the same, and the host lacks no feature of
 * the policy. Returns true, or false with the reason in words; *policy is then void.
 */
bool cpu_words_take(const struct wire_cpuid *words, unsigned count, const struct cpuid_policy *host,
                    struct cpuid_policy *policy, char reason[WIRE_REASON]);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest was shown of its processor, as words of the stream: so that the destination can go on showing it, or
 * refuses by the name of what it lacks. docs/cpuid.md. Pure.
 */
#pragma once

#include "hv/cpuid.h"
#include "migrate/wire.h"

/* Write the policy as words; returns how many, at most WIRE_CPUID. */
unsigned cpu_words_make(const struct cpuid_policy *policy, struct wire_cpuid words[WIRE_CPUID]);

/*
 * The policy out of `count` words, if `host` can keep it: the same vendor, and no feature that the host lacks. Returns
 * true, or false with the reason in words: *policy is then void.
 */
bool cpu_words_take(const struct wire_cpuid *words, unsigned count, const struct cpuid_policy *host,
                    struct cpuid_policy *policy, char reason[WIRE_REASON]);

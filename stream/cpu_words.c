/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/cpu_words.h"

#include <stdio.h>
#include <string.h>

#include "hv/cpuid_features.h"
#include "host/bits.h"

#define LEAF_XSAVE 0xD
#define LEAF_EXTENDED 0x80000000u
#define SUBLEAF_FORMS 1
#define SUBLEAF_AVX 2

static void put(struct wire_cpuid words[WIRE_CPUID], unsigned *count, u32 leaf, u32 subleaf,
                const struct cpuid_regs *regs)
{
    if (*count < WIRE_CPUID)
        words[(*count)++] = (struct wire_cpuid){
            .leaf = leaf, .subleaf = subleaf, .eax = regs->eax, .ebx = regs->ebx, .ecx = regs->ecx, .edx = regs->edx
        };
}

unsigned cpu_words_make(const struct cpuid_policy *policy, struct wire_cpuid words[WIRE_CPUID])
{
    const struct cpuid_regs xcr0 = { .eax = (u32)policy->xcr0, .edx = (u32)(policy->xcr0 >> 32) };
    const struct cpuid_regs forms = { .eax = policy->xsave_forms };
    unsigned count = 0;

    for (u32 leaf = 0; leaf < CPUID_BASIC; leaf++)
        if (leaf != LEAF_XSAVE)
            put(words, &count, leaf, 0, &policy->basic[leaf]);
    for (u32 leaf = 0; leaf < CPUID_EXTENDED; leaf++)
        put(words, &count, LEAF_EXTENDED + leaf, 0, &policy->extended[leaf]);
    put(words, &count, LEAF_XSAVE, 0, &xcr0);
    put(words, &count, LEAF_XSAVE, SUBLEAF_FORMS, &forms);
    put(words, &count, LEAF_XSAVE, SUBLEAF_AVX, &policy->xsave_avx);
    return count;
}

/* Put a word into the policy. False: its leaf is not part of a policy. */
static bool take(const struct wire_cpuid *word, struct cpuid_policy *policy)
{
    const struct cpuid_regs regs = { .eax = word->eax, .ebx = word->ebx, .ecx = word->ecx, .edx = word->edx };

    if (word->leaf == LEAF_XSAVE && word->subleaf == 0)
        policy->xcr0 = (u64)word->edx << 32 | word->eax;
    else if (word->leaf == LEAF_XSAVE && word->subleaf == SUBLEAF_FORMS)
        policy->xsave_forms = word->eax;
    else if (word->leaf == LEAF_XSAVE && word->subleaf == SUBLEAF_AVX)
        policy->xsave_avx = regs;
    else if (word->subleaf == 0 && word->leaf < CPUID_BASIC && word->leaf != LEAF_XSAVE)
        policy->basic[word->leaf] = regs;
    else if (word->subleaf == 0 && word->leaf - LEAF_EXTENDED < CPUID_EXTENDED)
        policy->extended[word->leaf - LEAF_EXTENDED] = regs;
    else
        return false;
    return true;
}

/* Is there any processor that has what the guest was shown? */
static bool check_sane(const struct cpuid_policy *shown, char reason[WIRE_REASON])
{
    struct cpuid_policy settled = *shown;

    if (shown->xcr0 && !cpuid_xcr0_legal(shown->xcr0)) {
        snprintf(reason, WIRE_REASON, "the guest was shown XCR0 %#lx, which no processor takes",
                 (unsigned long)shown->xcr0);
        return false;
    }
    cpuid_policy_settle(&settled);
    for (unsigned i = 0; i < NR_FEATURES; i++)
        if (cpuid_has(shown, i) && !cpuid_has(&settled, i)) {
            snprintf(reason, WIRE_REASON, "the guest was shown %s without what that needs, as no processor has it",
                     cpuid_feature_name(i));
            return false;
        }
    if (settled.xcr0 == shown->xcr0 && !memcmp(&settled.xsave_avx, &shown->xsave_avx, sizeof(settled.xsave_avx)))
        return true;
    snprintf(reason, WIRE_REASON, "the guest was shown XCR0 %#lx without what goes with it",
             (unsigned long)shown->xcr0);
    return false;
}

/* Features are checked in the order of the list, so that the reason names the feature that the others need, too. */
static bool check_features(const struct cpuid_policy *shown, const struct cpuid_policy *host, char reason[WIRE_REASON])
{
    for (unsigned i = 0; i < NR_FEATURES; i++)
        if (cpuid_has(shown, i) && !cpuid_has(host, i)) {
            snprintf(reason, WIRE_REASON, "the guest was shown %s, which this processor lacks", cpuid_feature_name(i));
            return false;
        }
    for (unsigned word = 0; word < NR_CPUID_WORDS; word++)
        if (cpuid_word_get(shown, word) & ~cpuid_word_get(host, word)) {
            snprintf(reason, WIRE_REASON, "the guest was shown bits %#x of CPUID word %u, which are unknown there",
                     cpuid_word_get(shown, word) & ~cpuid_word_get(host, word), word);
            return false;
        }
    return true;
}

static void vendor(const struct cpuid_policy *policy, char name[13])
{
    const struct cpuid_regs *leaf = &policy->basic[0];

    memcpy(name, &leaf->ebx, 4);
    memcpy(name + 4, &leaf->edx, 4);
    memcpy(name + 8, &leaf->ecx, 4);
    name[12] = '\0';
    for (char *c = name; *c; c++)
        if (*c < ' ' || *c >= 0x7F)
            *c = '?';
}

/* Kernels choose instructions (SYSENTER or SYSCALL, MSRs, errata) by vendor at their boot, once. */
static bool check_vendor(const struct cpuid_policy *shown, const struct cpuid_policy *host, char reason[WIRE_REASON])
{
    char theirs[13], ours[13];

    vendor(shown, theirs);
    vendor(host, ours);
    if (!strcmp(theirs, ours))
        return true;
    snprintf(reason, WIRE_REASON, "the guest was shown a processor of vendor %s, and this one is of %s", theirs, ours);
    return false;
}

static bool check_xsave(const struct cpuid_policy *shown, const struct cpuid_policy *host, char reason[WIRE_REASON])
{
    if (shown->xcr0 & ~host->xcr0) {
        snprintf(reason, WIRE_REASON, "the guest was shown XSAVE component %u, which this processor lacks",
                 (unsigned)__builtin_ctzll(shown->xcr0 & ~host->xcr0));
        return false;
    }
    if (memcmp(&shown->xsave_avx, &host->xsave_avx, sizeof(host->xsave_avx)) != 0 && shown->xsave_avx.eax) {
        snprintf(reason, WIRE_REASON, "this processor saves AVX state at another place than the guest was shown");
        return false;
    }
    return true;
}

bool cpu_words_take(const struct wire_cpuid *words, unsigned count, const struct cpuid_policy *host,
                    struct cpuid_policy *policy, char reason[WIRE_REASON])
{
    memset(policy, 0, sizeof(*policy));
    for (unsigned i = 0; i < count; i++)
        if (!take(&words[i], policy)) {
            snprintf(reason, WIRE_REASON, "CPUID leaf %#x.%u, which the guest was shown, is unknown there",
                     words[i].leaf, words[i].subleaf);
            return false;
        }
    if (policy->basic[0].eax != host->basic[0].eax || policy->extended[0].eax != host->extended[0].eax ||
        policy->extended[8].eax != host->extended[8].eax) {
        snprintf(reason, WIRE_REASON, "the guest was shown other CPUID leaves or address widths than are known there");
        return false;
    }
    return check_sane(policy, reason) && check_vendor(policy, host, reason) && check_features(policy, host, reason) &&
           check_xsave(policy, host, reason);
}

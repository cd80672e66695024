/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of features of a CPUID policy. We can virtualize each of them and carry it to another host (docs/cpuid.md).
 * A row names the feature's bit in CPUID and the feature that it needs.
 */
#pragma once

#include "host/types.h"

struct cpuid_policy;
struct cpuid_regs;

/* Words of CPUID whose bits are features. */
enum cpuid_word {
    LEAF1_ECX,
    LEAF1_EDX,
    LEAF7_EBX,
    LEAF7_ECX,
    LEAF7_EDX,
    XSAVE_EAX,
    EXT1_ECX,
    EXT1_EDX,
    NR_CPUID_WORDS
};

/*
 * X(name, word, bit, needs, text). `needs` is a feature that stands earlier in the list, or the feature itself if it
 * needs none. SDM 1 names the needed features where it says how to detect an extension.
 */
#define CPUID_FEATURES(X)                             \
    X(FPU, LEAF1_EDX, 0, FPU, "FPU")                  \
    X(VME, LEAF1_EDX, 1, VME, "VME")                  \
    X(DE, LEAF1_EDX, 2, DE, "DE")                     \
    X(PSE, LEAF1_EDX, 3, PSE, "PSE")                  \
    X(TSC, LEAF1_EDX, 4, TSC, "TSC")                  \
    X(MSR, LEAF1_EDX, 5, MSR, "MSR")                  \
    X(PAE, LEAF1_EDX, 6, PAE, "PAE")                  \
    X(MCE, LEAF1_EDX, 7, MCE, "MCE")                  \
    X(CX8, LEAF1_EDX, 8, CX8, "CX8")                  \
    X(APIC, LEAF1_EDX, 9, APIC, "APIC")               \
    X(SEP, LEAF1_EDX, 11, SEP, "SEP")                 \
    X(MTRR, LEAF1_EDX, 12, MTRR, "MTRR")              \
    X(PGE, LEAF1_EDX, 13, PGE, "PGE")                 \
    X(MCA, LEAF1_EDX, 14, MCA, "MCA")                 \
    X(CMOV, LEAF1_EDX, 15, CMOV, "CMOV")              \
    X(PAT, LEAF1_EDX, 16, PAT, "PAT")                 \
    X(PSE36, LEAF1_EDX, 17, PSE36, "PSE-36")          \
    X(CLFSH, LEAF1_EDX, 19, CLFSH, "CLFLUSH")         \
    X(MMX, LEAF1_EDX, 23, FPU, "MMX")                 \
    X(FXSR, LEAF1_EDX, 24, FPU, "FXSR")               \
    X(SSE, LEAF1_EDX, 25, FXSR, "SSE")                \
    X(SSE2, LEAF1_EDX, 26, SSE, "SSE2")               \
    X(SSE3, LEAF1_ECX, 0, SSE2, "SSE3")               \
    X(PCLMULQDQ, LEAF1_ECX, 1, SSE2, "PCLMULQDQ")     \
    X(SSSE3, LEAF1_ECX, 9, SSE3, "SSSE3")             \
    X(CX16, LEAF1_ECX, 13, CX8, "CX16")               \
    X(SSE4_1, LEAF1_ECX, 19, SSSE3, "SSE4.1")         \
    X(SSE4_2, LEAF1_ECX, 20, SSE4_1, "SSE4.2")        \
    X(MOVBE, LEAF1_ECX, 22, MOVBE, "MOVBE")           \
    X(POPCNT, LEAF1_ECX, 23, POPCNT, "POPCNT")        \
    X(AES, LEAF1_ECX, 25, SSE2, "AES")                \
    X(XSAVE, LEAF1_ECX, 26, FXSR, "XSAVE")            \
    X(AVX, LEAF1_ECX, 28, XSAVE, "AVX")               \
    X(FMA, LEAF1_ECX, 12, AVX, "FMA")                 \
    X(F16C, LEAF1_ECX, 29, AVX, "F16C")               \
    X(RDRAND, LEAF1_ECX, 30, RDRAND, "RDRAND")        \
    X(FSGSBASE, LEAF7_EBX, 0, FSGSBASE, "FSGSBASE")   \
    X(BMI1, LEAF7_EBX, 3, BMI1, "BMI1")               \
    X(AVX2, LEAF7_EBX, 5, AVX, "AVX2")                \
    X(SMEP, LEAF7_EBX, 7, SMEP, "SMEP")               \
    X(BMI2, LEAF7_EBX, 8, BMI2, "BMI2")               \
    X(ERMS, LEAF7_EBX, 9, ERMS, "ERMS")               \
    X(RDSEED, LEAF7_EBX, 18, RDSEED, "RDSEED")        \
    X(ADX, LEAF7_EBX, 19, ADX, "ADX")                 \
    X(SMAP, LEAF7_EBX, 20, SMAP, "SMAP")              \
    X(CLFLUSHOPT, LEAF7_EBX, 23, CLFSH, "CLFLUSHOPT") \
    X(CLWB, LEAF7_EBX, 24, CLFSH, "CLWB")             \
    X(SHA, LEAF7_EBX, 29, SSE2, "SHA")                \
    X(UMIP, LEAF7_ECX, 2, UMIP, "UMIP")               \
    X(FSRM, LEAF7_EDX, 4, FSRM, "FSRM")               \
    X(XSAVEOPT, XSAVE_EAX, 0, XSAVE, "XSAVEOPT")      \
    X(XSAVEC, XSAVE_EAX, 1, XSAVE, "XSAVEC")          \
    X(XGETBV1, XSAVE_EAX, 2, XSAVE, "XGETBV1")        \
    X(LAHF, EXT1_ECX, 0, LAHF, "LAHF")                \
    X(ABM, EXT1_ECX, 5, ABM, "ABM")                   \
    X(PREFETCHW, EXT1_ECX, 8, PREFETCHW, "PREFETCHW") \
    X(SYSCALL, EXT1_EDX, 11, SYSCALL, "SYSCALL")      \
    X(NX, EXT1_EDX, 20, PAE, "NX")                    \
    X(PAGE1GB, EXT1_EDX, 26, PAE, "1-GiB pages")      \
    X(RDTSCP, EXT1_EDX, 27, TSC, "RDTSCP")            \
    X(LM, EXT1_EDX, 29, PAE, "long mode")

#define X(name, word, bit, needs, text) FEATURE_##name,
enum cpuid_feature { CPUID_FEATURES(X) NR_FEATURES };
#undef X

/* The value of a word of the policy. */
u32 cpuid_word_get(const struct cpuid_policy *policy, enum cpuid_word word);

/* Does the policy show this feature to the guest? */
bool cpuid_has(const struct cpuid_policy *policy, enum cpuid_feature feature);

/* The feature's name in the manuals. */
const char *cpuid_feature_name(enum cpuid_feature feature);

/* Make the policy that a processor can show to guests, if its CPUID instruction answers as `read` does. */
void cpuid_policy_make(struct cpuid_policy *policy, struct cpuid_regs (*read)(u32 leaf, u32 subleaf));

/*
 * Remove from a policy what no processor can have: features whose needed features are missing, components of XSAVE that
 * XSETBV refuses, and AVX state at a place where no processor saves it. If this changes nothing, a processor with such
 * a policy can exist.
 */
void cpuid_policy_settle(struct cpuid_policy *policy);

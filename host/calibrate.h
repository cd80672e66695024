/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast the TSC counts, by counters of known frequency. Each is read between two readings of the TSC, at the start
 * and at the end of a while: so its frequency is known as well as the two are close together. An emulator's thread may
 * lose its host processor just then, so there are more rounds, until what all of them leave possible is little.
 *
 * A counter may be missing, dead, or wrong: waiting has bounds, and where there are two, one checks the other.
 */
#pragma once

#include "host/types.h"

struct reading {
    u64 count;
    u64 before, after; /* TSC */
};

/* A counter. */
struct reference {
    const char *name;
    u64 hz;
    u64 mask;                              /* it counts modulo mask + 1 */
    bool (*start)(void);                   /* make it count from anew; false: it doesn't. NULL: it runs by itself */
    bool (*read)(struct reading *reading); /* false: it has come round meanwhile, start again */
};

#define CALIBRATE_REFERENCES 3     /* at most */
#define CALIBRATE_MAX_HZ 100000000 /* of a reference: products stay below 2^64 for seconds */

/* The TSC's frequency. */
struct calibration {
    u64 hz;
    u64 error;             /* it is that many Hz more or less, at most */
    const char *source;    /* the reference's name, or "CPUID"; NULL: nothing counts, and hz is 0 */
    const char *confirmed; /* by which other; NULL: by none */
};

/*
 * The frequency by the first source that another one confirms, to 250 ppm; if none is, by the first that counts. First
 * comes what CPUID claims (0: nothing), then the references in their order; no more of them are asked than is needed.
 * The log says who doesn't count and who disagrees. Boot processor, undisturbed.
 */
struct calibration calibrate(u64 claimed_hz, const struct reference *references, unsigned count);

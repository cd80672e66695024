/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measures how fast the TSC counts, by counters of known frequency. A round reads the counter at its start and at its
 * end, each time between two readings of the TSC: the closer these two are, the better the TSC's frequency is known. An
 * emulator's thread may lose its host processor just then, so rounds are repeated until the range of frequencies that
 * all of them allow is small.
 *
 * A counter may be missing, dead, or wrong: so all waiting has bounds, and if there are two counters, one checks the
 * other.
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
    u64 mask;                              /* the counter counts modulo mask + 1 */
    bool (*start)(void);                   /* start it anew; false: it doesn't count. NULL: it runs by itself */
    bool (*read)(struct reading *reading); /* false: the counter has wrapped, start again */
};

#define CALIBRATE_REFERENCES 3     /* that calibrate() takes at most */
#define CALIBRATE_MAX_HZ 100000000 /* of a reference: products then stay below 2^64 for seconds */

/* The TSC's frequency. */
struct calibration {
    u64 hz;
    u64 error;             /* Hz: the true frequency differs from hz by no more */
    const char *source;    /* the reference's name, or "CPUID"; NULL: nothing counts, and hz is 0 */
    const char *confirmed; /* the reference that agrees with the source; NULL: none does */
};

/*
 * Returns the frequency by the first source that another source confirms to 250 ppm; if no source is confirmed, by the
 * first reference that counts, or by CPUID if none does. Sources are asked in this order, and no more of them than
 * needed: what CPUID states (stated_hz; 0: nothing), then the references. The log names those that don't count and
 * those that disagree. Boot processor, undisturbed.
 */
struct calibration calibrate(u64 stated_hz, const struct reference *references, unsigned count);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long does a swap at the witness take? The test swaps a key of this machine's own again and again, as a failover
 * would a guest's. One test at a time; host loop.
 */
#pragma once

#include "host/types.h"

#define WITNESS_TEST_MAX 1000

enum witness_test_status {
    WITNESS_TEST_UNSTARTED,
    WITNESS_TEST_ACTIVE,
    WITNESS_TEST_COMPLETED,
    WITNESS_TEST_FAILED,
};

struct witness_test {
    enum witness_test_status status;
    unsigned swaps, done;     /* asked for; done */
    u32 us[WITNESS_TEST_MAX]; /* what each took; in ascending order when the test has ended */
    const char *error;        /* why it failed, valid until the next one; else NULL */
};

/* Begin, with 1 to WITNESS_TEST_MAX swaps. Returns 0; -EBUSY: a test is running; -ENOENT: there is no [witness];
 * -ENOMEM. */
int witness_test_start(unsigned swaps);

/* The test that is running, else the last one. */
const struct witness_test *witness_test_result(void);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast is TCP from here to another hypervisor? The test sends bytes to that one's discard service (net/testd.h),
 * over the streams that a move uses, so that the rate of a move can be compared with it. One test at a time; host loop.
 */
#pragma once

#include "host/types.h"
#include "net/tcp_address.h"

enum net_test_status { NET_TEST_UNSTARTED, NET_TEST_ACTIVE, NET_TEST_COMPLETED, NET_TEST_FAILED };

struct net_test {
    enum net_test_status status;
    struct tcp_address to;
    u64 size, sent;    /* bytes asked for; bytes that the connection has taken */
    u64 began, ended;  /* clock_ns: when it was connected, and when the peer had acknowledged all */
    const char *error; /* why the test failed, a constant text; else NULL */
};

/* Begin to send `size` bytes, more than 0. Returns 0; -EBUSY: a test is running; -EHOSTUNREACH: no route; -ENOMEM. */
int net_test_start(const struct tcp_address *to, u64 size);

/* The test that is running, else the last one. */
const struct net_test *net_test_result(void);

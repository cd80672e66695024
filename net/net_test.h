/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast TCP is from here to another hypervisor, over the streams that a move uses: bytes to its discard service
 * (net/testd.h). What a move reaches can be held against it. One test at a time; host loop.
 */
#pragma once

#include "host/types.h"
#include "net/tcp_address.h"

enum net_test_status { NET_TEST_UNSTARTED, NET_TEST_ACTIVE, NET_TEST_COMPLETED, NET_TEST_FAILED };

struct net_test {
    enum net_test_status status;
    struct tcp_address to;
    u64 size, sent;    /* bytes asked for; that the connection has taken */
    u64 began, ended;  /* clock_ns: when it was connected, and when the peer had acknowledged all */
    const char *error; /* of a failed one, a constant text; else NULL */
};

/* Begin to send `size` bytes, more than 0. 0; -EBUSY: one is on; -EHOSTUNREACH: no route; -ENOMEM. */
int net_test_start(const struct tcp_address *to, u64 size);

/* The last one, or the one that is on. */
const struct net_test *net_test_result(void);

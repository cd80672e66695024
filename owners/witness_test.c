/* SPDX-License-Identifier: BSD-2-Clause */
/* The key keeps its last value, so the first question reads it; each further one swaps what the one before has found or
 * left. */
#include "owners/witness_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/clock.h"
#include "host/host_work.h"
#include "net/mac.h"
#include "net/netif.h"
#include "owners/witness.h"

static struct witness_test test;
static struct witness_request *request;
static char key[ETCD_KEY], value[ETCD_VALUE];

static int by_size(const void *a, const void *b)
{
    u32 one = *(const u32 *)a, other = *(const u32 *)b;

    return one < other ? -1 : one > other;
}

/* `why` may be the request's, which ends here. */
static void end(const char *why)
{
    static char error[WITNESS_REASON];

    qsort(test.us, test.done, sizeof(test.us[0]), by_size);
    snprintf(error, sizeof(error), "%s", why ? why : "");
    test.error = why ? error : NULL;
    test.status = why ? WITNESS_TEST_FAILED : WITNESS_TEST_COMPLETED;
    witness_close(request);
}

/* No value comes twice: the time is another one. */
static void swap_next(const char *expected)
{
    char old[ETCD_VALUE];

    snprintf(old, sizeof(old), "%s", expected ? expected : "");
    snprintf(value, sizeof(value), "swap %u of %u, %lu ns after the boot", test.done + 1, test.swaps, clock_ns());
    witness_swap(request, key, expected ? old : NULL, value);
}

static void take(const struct witness_outcome *outcome)
{
    switch (outcome->result) {
    case WITNESS_READ: swap_next(outcome->present ? outcome->value : NULL); return;
    case WITNESS_SWAPPED:
        test.us[test.done++] = (u32)(outcome->ns / 1000);
        if (test.done < test.swaps)
            swap_next(value);
        else
            end(NULL);
        return;
    case WITNESS_DIFFERENT: end("another machine swaps the same key: do two have one MAC?"); return;
    default: end(outcome->reason);
    }
}

/* Host work. */
static u64 test_poll(void)
{
    while (test.status == WITNESS_TEST_ACTIVE && witness_outcome(request)->result != WITNESS_ASKED)
        take(witness_outcome(request));
    return ~0ULL;
}

int witness_test_start(unsigned swaps)
{
    static bool polled;

    if (test.status == WITNESS_TEST_ACTIVE)
        return -EBUSY;
    if (!witness_configured())
        return -ENOENT;
    request = witness_open();
    if (!request)
        return -ENOMEM;
    if (!polled)
        host_work_add(test_poll);
    polled = true;
    test = (struct witness_test){ .status = WITNESS_TEST_ACTIVE, .swaps = swaps };
    snprintf(key, sizeof(key), "godwit/test/%s", mac_text(netif_port_mac()).text);
    witness_read(request, key);
    return 0;
}

const struct witness_test *witness_test_result(void)
{
    return &test;
}

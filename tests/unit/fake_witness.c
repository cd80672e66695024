/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_witness.h"

#include <errno.h>
#include <stdio.h>

#include "host/clock.h"
#include "owners/witness.h"
#include "owners/witness_test.h"
#include "owners/witness_watch.h"

bool fake_witness_missing;

bool witness_configured(void)
{
    return !fake_witness_missing;
}

const struct witness_member *witness_member(unsigned index)
{
    static const struct witness_member members[] = {
        { .url = "http://192.0.2.9:2379",
          .asked = true,
          .answering = true,
          .answered = 7,
          .failed = 1,
          .ns = 1500000,
          .cluster = 0xcdf818194e3a8c32 },
        { .url = "http://[fd09::9]:2379", .asked = true, .failed = 2, .fault = "no connection within 300 ms" },
    };

    return index < 2 ? &members[index] : NULL;
}

const struct witness_counters *witness_counters(void)
{
    static const struct witness_counters counters = { .read = 5, .swapped = 2, .different = 1, .unreachable = 3 };

    return &counters;
}

const struct witness_record *witness_watch_record(const u8 id[VM_ID])
{
    static struct witness_record record = { .present = true, .value = "1 owner 192.0.2.2:4900" };

    record.heard = clock_ns();
    return id[0] == 1 ? &record : NULL;
}

void witness_key(const u8 id[VM_ID], char key[ETCD_KEY])
{
    snprintf(key, ETCD_KEY, "godwit/vm/%02x", id[0]);
}

/* Done at once. */
static struct witness_test test;

int witness_test_start(unsigned swaps)
{
    if (fake_witness_missing)
        return -ENOENT;
    if (test.status == WITNESS_TEST_COMPLETED)
        return -EBUSY;
    test = (struct witness_test){
        .status = WITNESS_TEST_COMPLETED, .swaps = swaps, .done = 3, .us = { 1000, 1400, 9000 }
    };
    return 0;
}

const struct witness_test *witness_test_result(void)
{
    return &test;
}

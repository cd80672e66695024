/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the witness. */
#include <errno.h>

#include "control/command.h"
#include "control/commands.h"
#include "control/json.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/list.h"
#include "hv/vm.h"
#include "owners/witness.h"
#include "owners/witness_test.h"
#include "owners/witness_watch.h"

#define SWAPS 20 /* of a test, unless told */

static void put_member(struct json *out, const struct witness_member *member)
{
    json_object(out, NULL);
    json_string(out, "member", member->url);
    json_string(out, "status", member->answering ? "answers" : member->asked ? "silent" : "unasked");
    json_milli(out, "ms", member->ns / 1000);
    json_format(out, "cluster", "%lx", member->cluster);
    json_number(out, "answered", member->answered);
    json_number(out, "failed", member->failed);
    json_string(out, "error", member->fault);
    json_close(out);
}

/* What the witness holds for a guest here. */
static void put_guest(struct json *out, const struct vm *vm)
{
    const struct witness_record *record = witness_watch_record(vm->identity.id);
    char key[ETCD_KEY];

    witness_key(vm->identity.id, key);
    json_object(out, NULL);
    json_string(out, "name", vm->name);
    json_string(out, "key", key);
    json_string(out, "holds", !record ? "not known yet" : record->present ? record->value : "nothing");
    json_number(out, "read_ms_ago", record ? (clock_ns() - record->heard) / 1000000 : 0);
    json_close(out);
}

static void put_test(struct json *out)
{
    static const char *const names[] = {
        [WITNESS_TEST_UNSTARTED] = "unstarted",
        [WITNESS_TEST_ACTIVE] = "active",
        [WITNESS_TEST_COMPLETED] = "completed",
        [WITNESS_TEST_FAILED] = "failed",
    };
    const struct witness_test *test = witness_test_result();

    json_object(out, "test");
    json_string(out, "status", names[test->status]);
    if (test->status != WITNESS_TEST_UNSTARTED)
        json_format(out, "swaps", "%u of %u", test->done, test->swaps);
    if (test->error)
        json_string(out, "error", test->error);
    if (test->done && test->status != WITNESS_TEST_ACTIVE) {
        json_milli(out, "ms_least", test->us[0]);
        json_milli(out, "ms_median", test->us[test->done / 2]);
        json_milli(out, "ms_most", test->us[test->done - 1]);
    }
    json_close(out);
}

int command_witness(struct call *call)
{
    const struct witness_counters *counters = witness_counters();
    const struct witness_member *member;
    struct json *out = call->out;

    if (!witness_configured())
        return call_fail(call, -ENOTSUP, "there is no witness, expected a section [witness] in the configuration");
    json_array(out, "members");
    for (unsigned i = 0; (member = witness_member(i)); i++)
        put_member(out, member);
    json_close(out);
    json_array(out, "guests");
    list_each (const struct vm, vm, vm_list())
        put_guest(out, vm);
    json_close(out);
    json_number(out, "read", counters->read);
    json_number(out, "swapped", counters->swapped);
    json_number(out, "different", counters->different);
    json_number(out, "unreachable", counters->unreachable);
    put_test(out);
    return 0;
}

int command_witness_test(struct call *call)
{
    switch (witness_test_start(call->arg[0].given ? (unsigned)call->arg[0].number : SWAPS)) {
    case 0: return command_witness(call);
    case -EBUSY: return call_fail(call, -EBUSY, "a test is under way, see witness");
    case -ENOENT:
        return call_fail(call, -ENOTSUP, "there is no witness, expected a section [witness] in the configuration");
    default: return call_fail(call, -ENOMEM, "no memory");
    }
}

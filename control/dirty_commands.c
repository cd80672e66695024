/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands that show which pages a guest writes, without a move. */
#include <errno.h>

#include "control/command.h"
#include "control/commands.h"
#include "control/json.h"
#include "dirty/dirty_rate.h"
#include "dirty/vm_dirty.h"
#include "hv/vm.h"
#include "control/dirty_trace.h"
#include "migrate/migration.h"
#include "mm/guest_missing.h"

#define DIRTY_RATE_MS 1000

/* Why the log of a VM can't be had. */
static int log_refused(struct call *call, struct vm *vm, int err)
{
    const struct dirty_trace *trace = dirty_trace_query();

    if (guest_mem_missing_count(&vm->mem))
        return call_fail(call, err, "%s: cannot measure, pages of it are missing until its move is complete", vm->name);
    if (err == -EBUSY && trace->status == DIRTY_TRACE_TRACING)
        return call_fail(call, err, "%s is being traced, dirty-trace-stop ends that", trace->vm);
    return call_fail(call, err, "%s: cannot measure, %s", vm->name,
                     err == -EBUSY ? "its dirty log is in use, by a move or a measurement" : "no memory");
}

static bool may_log(struct vm *vm)
{
    return !migration_active(vm) && !guest_mem_missing_count(&vm->mem);
}

int command_calc_dirty_rate(struct call *call)
{
    struct vm *vm = call->arg[0].vm;
    u32 ms = call->arg[1].given ? (u32)call->arg[1].number : DIRTY_RATE_MS;
    int err = may_log(vm) ? dirty_rate_start(vm, ms) : -EBUSY;

    if (err)
        return log_refused(call, vm, err);
    return command_query_dirty_rate(call);
}

int command_query_dirty_rate(struct call *call)
{
    static const char *const names[] = {
        [DIRTY_RATE_UNSTARTED] = "unstarted", [DIRTY_RATE_MEASURING] = "measuring", [DIRTY_RATE_MEASURED] = "measured"
    };
    const struct vm *vm = call->arg[0].vm;
    const struct dirty_rate *rate = dirty_rate_of(vm);

    json_string(call->out, "vm", vm->name);
    json_string(call->out, "status", names[rate->status]);
    json_number(call->out, "calc-time", rate->calc_time);
    json_number(call->out, "pages", rate->pages);
    json_number(call->out, "dirty-rate", rate->rate);
    return 0;
}

int command_dirty_trace(struct call *call)
{
    struct vm *vm = call->arg[0].vm;
    u64 seconds = call->arg[2].number;
    int err = !may_log(vm) ? -EBUSY : dirty_trace_start(vm, (u32)call->arg[1].number, (u32)seconds * 1000);

    if (err)
        return log_refused(call, vm, err);
    return command_query_dirty_trace(call);
}

int command_dirty_trace_stop(struct call *call)
{
    if (dirty_trace_stop())
        return call_fail(call, -EBUSY, "no virtual machine is being traced");
    return command_query_dirty_trace(call);
}

int command_query_dirty_trace(struct call *call)
{
    static const char *const names[] = {
        [DIRTY_TRACE_UNSTARTED] = "unstarted", [DIRTY_TRACE_TRACING] = "tracing", [DIRTY_TRACE_ENDED] = "ended"
    };
    const struct dirty_trace *trace = dirty_trace_query();

    json_string(call->out, "status", names[trace->status]);
    if (trace->status == DIRTY_TRACE_UNSTARTED)
        return 0;
    json_number(call->out, "number", trace->number);
    json_string(call->out, "vm", trace->vm);
    if (trace->status == DIRTY_TRACE_ENDED)
        json_string(call->out, "reason", trace->reason);
    json_string(call->out, "producer", dirty_producer_name(trace->producer));
    json_number(call->out, "every-ms", trace->every_ms);
    json_number(call->out, "for-ms", trace->for_ms);
    json_number(call->out, "intervals", trace->intervals);
    json_number(call->out, "pages", trace->pages);
    json_number(call->out, "bytes", trace->put);
    json_number(call->out, "taken", trace->taken);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about virtual machines. Vcpus go on counting while their counters are read: each counter is right, but a sum
 * may be a moment old. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hv/backend.h"
#include "control/command.h"
#include "control/commands.h"
#include "control/json.h"
#include "control/status.h"
#include "dirty/vm_dirty.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/rtc.h"
#include "dev/platform.h"
#include "guest/load/images.h"
#include "guest/load/create.h"
#include "guest/load/power.h"
#include "hv/vm.h"
#include "migrate/halves.h"
#include "migrate/migration.h"
#include "owners/asking.h"
#include "guest/load/vm_report.h"
#include "protect/protection.h"
#include "stream/vm_history.h"

#define COMMAND_REASON 200 /* characters of the reason why something fails */

static u64 milliseconds(u64 ticks)
{
    return clock_ticks_to_ns(ticks) / 1000000;
}

static const char *status_name(const struct vm *vm)
{
    return shown_name(shown_status(vm));
}

/* What is missing of it, whether that comes, and how long it will take. */
static void put_risk(struct json *out, const struct halves *halves)
{
    char left[96] = "";
    u64 tenths = halves->missing * 10 >> 20;

    if (halves->lost)
        snprintf(left, sizeof(left), ", which knows it no more: see resolve");
    else if (halves->status == MIGRATE_POSTCOPY_PAUSED)
        snprintf(left, sizeof(left), ", not heard for %lu s: if it is lost%s", halves->silent_ms / 1000,
                 halves->here ? " so are they, see reset and poweroff" : ", see resolve");
    else if (halves->ms_left == LEFT_UNASKED)
        snprintf(left, sizeof(left), ", the rest when pulled");
    else if (halves->ms_left != LEFT_UNKNOWN)
        snprintf(left, sizeof(left), ", %lu ms left", halves->ms_left);
    json_format(out, "reason", "%s: %lu.%lu MiB missing, at %s%s%s", migrate_status_name(halves->status), tenths / 10,
                tenths % 10, halves->here ? halves->peer : "this end for ", halves->here ? "" : halves->peer, left);
}

/* A guest in two halves is at risk: everybody who looks at it is told, at either end. */
static void put_reason(struct json *out, const struct vm *vm)
{
    struct halves halves;

    if (vm->reason[0])
        json_string(out, "reason", vm->reason);
    else if (halves_of(vm, &halves))
        put_risk(out, &halves);
    else if (protection_state(vm) != PROTECTION_NONE)
        json_format(out, "reason", "%s, %s", protection_state_name(protection_state(vm)),
                    protection_is_secondary(protection_of(vm)) ? "this is its copy" : "see query-protect");
    else
        json_string(out, "reason", "");
}

/* The same for programs. */
static void put_halves(struct json *out, const struct vm *vm)
{
    struct halves halves;

    if (!halves_of(vm, &halves))
        return;
    json_object(out, "postcopy");
    json_string(out, "status", migrate_status_name(halves.status));
    json_string(out, "peer", halves.peer);
    json_number(out, "silent_ms", halves.silent_ms);
    json_number(out, "missing", halves.missing);
    if (halves.ms_left < LEFT_UNASKED)
        json_number(out, "left_ms", halves.ms_left);
    json_close(out);
}

/* Write what both the list and the details show. */
static void put_summary(struct json *out, const struct vm *vm)
{
    u64 exits = 0;

    for (u32 i = 0; i < vm->nr_vcpus; i++)
        exits += vcpu_exits(vm->vcpu[i]);
    json_string(out, "name", vm->name);
    json_string(out, "status", status_name(vm));
    json_number(out, "epoch", vm->identity.epoch);
    json_number(out, "vcpus", vm->nr_vcpus);
    json_number(out, "memory_mib", vm->memory >> 20);
    json_number(out, "ran_ms", vm_ran(vm) / 1000000);
    json_number(out, "exits", exits);
    put_reason(out, vm);
    put_halves(out, vm);
}

int command_vms(struct call *call)
{
    json_array(call->out, "vms");
    list_each (const struct vm, vm, vm_list()) {
        json_object(call->out, NULL);
        put_summary(call->out, vm);
        json_close(call->out);
    }
    json_close(call->out);
    return 0;
}

static const char *vcpu_status_name(enum vcpu_status status)
{
    switch (status) {
    case VCPU_RUNNABLE: return "runnable";
    case VCPU_HALTED: return "halted";
    case VCPU_WAIT_SIPI: return "waits for start-up";
    case VCPU_WAIT_PAGE: return "waits for a page";
    case VCPU_WAIT_WRITE: return "waits to write";
    }
    return "unknown";
}

static void put_vcpus(struct json *out, const struct vm *vm)
{
    json_array(out, "processors");
    for (u32 i = 0; i < vm->nr_vcpus; i++) {
        const struct vcpu *vcpu = vm->vcpu[i];

        json_object(out, NULL);
        json_number(out, "vcpu", i);
        json_number(out, "cpu", vcpu->cpu);
        json_string(out, "status", vcpu_status_name(vcpu->status));
        json_format(out, "rip", "%#lx", (unsigned long)vcpu->rip);
        json_number(out, "ran_ms", milliseconds(vcpu->guest_ticks));
        json_number(out, "slices", vcpu->slices);
        json_number(out, "exits", vcpu_exits(vcpu));
        json_number(out, "interrupts", vcpu->interrupts_injected);
        json_close(out);
    }
    json_close(out);
}

static void put_exits(struct json *out, const struct vm *vm)
{
    json_object(out, "exits_by_reason");
    for (unsigned kind = 0; kind < NR_EXITS; kind++) {
        u64 count = vm_exits(vm, kind);

        if (count)
            json_number(out, exit_handlers[kind].name, count);
    }
    json_close(out);
}

static void put_tsc(struct json *out, const struct guest_tsc *tsc)
{
    json_object(out, "tsc");
    json_number(out, "khz", tsc->khz);
    json_number(out, "khz_here", guest_tsc_khz_here(tsc));
    json_bool(out, "scaled", tsc->ratio != GUEST_TSC_UNSCALED);
    json_close(out);
}

/* Write about its network card; `net` shows more about its port in the switch. */
static void put_network(struct json *out, const struct virtio_net *net)
{
    json_object(out, "network");
    json_number(out, "filtered", net->filtered);
    json_number(out, "malformed", net->malformed);
    json_number(out, "announces", net->announces);
    json_close(out);
}

/* Write all that was logged since the VM was made, by moves and by measurements of the rate. */
static void put_dirty_log(struct json *out, const struct dirty_log *log)
{
    const struct dirty_counters *count = &log->count;

    json_object(out, "dirty_log");
    json_string(out, "producer", dirty_producer_name(log->producer));
    json_number(out, "harvests", count->harvests);
    json_number(out, "harvested", count->harvested);
    json_number(out, "retired", count->retired);
    json_number(out, "by_fault", count->by_fault);
    json_number(out, "by_dbit", count->by_dbit);
    json_number(out, "by_pml", count->by_pml);
    json_number(out, "by_hypervisor", count->by_hypervisor);
    json_number(out, "faults", count->faults);
    json_number(out, "scanned_regions", count->scanned_regions);
    json_number(out, "scanned_entries", count->scanned_entries);
    json_number(out, "harvest_us", count->harvest_ns / 1000);
    json_number(out, "pml_drains", count->pml_drains);
    json_close(out);
}

/* Write what has become of the last wish that it shut down. */
static void put_shutdown(struct json *out, const struct shutdown *shutdown)
{
    bool asked = shutdown->state == SHUTDOWN_ASKED;
    u64 passed = (asked ? clock_ns() : shutdown->settled) - shutdown->asked;

    if (shutdown->state == SHUTDOWN_NONE)
        return;
    json_object(out, "shutdown");
    json_string(out, "state", shutdown_name(shutdown->state));
    json_number(out, "timeout", shutdown->timeout);
    json_bool(out, "force", shutdown->force);
    json_number(out, "ms", passed / 1000000);
    json_close(out);
}

/* Write the last moves by which it came where it was then, the oldest first. */
static void put_history(struct json *out, const struct vm_history *history)
{
    u32 kept = history ? MIN(history->moves, (u32)HISTORY_MOVES) : 0;

    json_array(out, "history");
    for (u32 i = history ? history->moves - kept : 0; kept--; i++) {
        const struct history_move *move = &history->move[i % HISTORY_MOVES];
        char when[RTC_TEXT];

        rtc_text(move->at - (rtc_now_ns() - clock_ns()), when);
        json_object(out, NULL);
        json_string(out, "at", when);
        json_string(out, "from", move->from);
        json_number(out, "epoch", move->epoch);
        json_string(out, "mode", history_mode_name(move->mode));
        json_milli(out, "stood_ms", move->stood / 1000);
        json_close(out);
    }
    json_close(out);
}

int command_vm(struct call *call)
{
    const struct vm *vm = call->arg[0].vm;
    struct json *out = call->out;

    put_summary(out, vm);
    json_number(out, "id", vm->id);
    json_uuid(out, "vm_id", vm->identity.id);
    json_number(out, "resets", vm->resets);
    json_string(out, "image", guest_image_here(&vm->image) ? "here" : "elsewhere");
    json_string(out, "cmdline", vm->image.cmdline);
    json_string(out, "on_crash", vm->on_crash == CONFIG_CRASH_STOP ? "stop" : "reset");
    json_number(out, "cpu_throttle_percentage", vm->throttle);
    json_number(out, "write_limit", vm->write_limit);
    put_shutdown(out, &platform_of(vm)->shutdown);
    put_tsc(out, &vm->tsc);
    json_number(out, "unlogged_lines", platform_of(vm)->console.log.unshown);
    json_number(out, "port_accesses", vm->pio.accesses);
    json_number(out, "port_accesses_unclaimed", vm->pio.unclaimed);
    json_number(out, "mmio_accesses", vm->mmio.accesses);
    json_number(out, "mmio_accesses_unclaimed", vm->mmio.unclaimed);
    json_object(out, "memory");
    json_number(out, "pages_4k", vm->mem.pages_4k);
    json_number(out, "pages_2m", vm->mem.pages_2m);
    json_number(out, "pages_1g", vm->mem.pages_1g);
    json_number(out, "nested_tables", vm->npt.tables);
    json_number(out, "exec_splits", vm->npt.exec_splits);
    json_number(out, "written_by_host", vm->mem.bytes_written);
    json_close(out);
    put_network(out, &platform_of(vm)->net);
    put_dirty_log(out, &vm->mem.dirty);
    put_vcpus(out, vm);
    put_exits(out, vm);
    put_history(out, vm->history);
    return 0;
}

/* The answer of a command that acts on a VM: the VM's name and its status now. err: the guest has ended since its
 * status was checked. */
static int acted(struct call *call, const char *verb, int err)
{
    const struct vm *vm = call->arg[0].vm;

    if (err)
        return call_fail(call, -EBUSY, "%s: cannot %s, it is %s", vm->name, verb, status_name(vm));
    json_string(call->out, "name", vm->name);
    json_string(call->out, "status", status_name(vm));
    json_number(call->out, "epoch", vm->identity.epoch);
    return 0;
}

int command_pause(struct call *call)
{
    return acted(call, "pause", vm_pause(call->arg[0].vm));
}

static int press(struct call *call, const char *verb, void (*button)(struct acpi_pm *pm))
{
    struct vm *vm = call->arg[0].vm;

    spin_lock(&vm->device_lock);
    button(&platform_of(vm)->pm);
    spin_unlock(&vm->device_lock);
    return acted(call, verb, 0);
}

int command_suspend(struct call *call)
{
    return press(call, "suspend", acpi_pm_sleep_button);
}

int command_resume(struct call *call)
{
    if (shown_status(call->arg[0].vm) == SHOWN_SUSPENDED)
        return press(call, "resume", acpi_pm_power_button);
    return acted(call, "resume", vm_resume(call->arg[0].vm));
}

int command_poweroff(struct call *call)
{
    return acted(call, "poweroff", vm_poweroff(call->arg[0].vm));
}

int command_power_button(struct call *call)
{
    return press(call, "press its power button", acpi_pm_power_button);
}

enum { LATE_FORCE = 1 };
const char *const shutdown_late[] = { "leave", [LATE_FORCE] = "force", NULL };

int command_shutdown(struct call *call)
{
    u32 timeout = call->arg[1].given ? (u32)call->arg[1].number : SHUTDOWN_S;

    shutdown_ask(call->arg[0].vm, timeout, call->arg[2].given && call->arg[2].number == LATE_FORCE);
    json_number(call->out, "timeout", timeout);
    return acted(call, "shut down", 0);
}

int command_reset(struct call *call)
{
    struct vm *vm = call->arg[0].vm;

    if (!guest_image_here(&vm->image))
        return call_fail(call, -EBUSY,
                         "%s: cannot reset, what it starts from is not among this machine's files, expected it in "
                         "images of [migration], or sent by migrate-files of the machine that it has left",
                         vm->name);
    vm_reset_request(vm);
    return acted(call, "reset", 0);
}

/* Give the VM other files to start from, if the command names them. As the files of the configuration, they are ones
 * that the loader has handed over. */
static int name_image(struct call *call, struct guest_image *image)
{
    char reason[COMMAND_REASON];

    if (!call->arg[1].given)
        return 0;
    image->initrd = (struct guest_file){ .size = 0 };
    if (image_file(call->arg[1].text, &image->kernel, reason, sizeof(reason)) &&
        (!call->arg[2].given || image_file(call->arg[2].text, &image->initrd, reason, sizeof(reason))))
        return 0;
    return call_fail(call, -EINVAL, "%s: cannot start, %s", call->arg[0].vm->name, reason);
}

int command_start(struct call *call)
{
    struct vm *vm = call->arg[0].vm;
    struct guest_image image = vm->image;
    char reason[COMMAND_REASON];
    int err = name_image(call, &image);

    if (err)
        return err;
    if (!migration_done_with(vm))
        return call_fail(call, -EBUSY, "%s: cannot start yet, its last move is ending, or its dirty log is in use",
                         vm->name);
    vm->image = image;
    if (!asking_may_start(vm, false))
        return acted(call, "start", 0);
    err = guest_power_on(vm, reason, sizeof(reason));
    if (err == -ENOENT)
        return call_fail(call, -EBUSY, "%s: cannot start, %s, expected it in images of [migration], or named here",
                         vm->name, reason);
    if (err)
        return call_fail(call, err, "%s: cannot start, %s", vm->name, reason);
    return acted(call, "start", 0);
}

int command_forget(struct call *call)
{
    struct vm *vm = call->arg[0].vm;

    json_string(call->out, "name", vm->name);
    if (migration_forget(vm))
        return call_fail(call, -EBUSY, "%s: cannot forget yet, its last move is ending, or its dirty log is in use",
                         vm->name);
    json_string(call->out, "status", "forgotten");
    return 0;
}

/* Parse the options as a section of a configuration: a comma ends a line, except in the command line of the kernel,
 * which comes last. */
static int parse_section(struct call *call, struct config *config)
{
    char text[CONFIG_NAME + 2 * CONFIG_CMDLINE];
    struct config_error error;
    char *end;
    int len = snprintf(text, sizeof(text), "[vm %s]\n%s\n", call->arg[0].text, call->arg[1].text);

    end = strstr(text, "cmdline=");
    for (char *c = text; *c && c != end; c++)
        *c = (char)(*c == ',' ? '\n' : *c);
    if (len >= (int)sizeof(text))
        return call_fail(call, -EINVAL, "options: too long, expected at most %zu characters", sizeof(text) - 48);
    if (!config_parse(text, (size_t)len, config, &error))
        return call_fail(call, -EINVAL, "%s: %s", error.key, error.message);
    if (config->nr_vms != 1 || config->net.present)
        return call_fail(call, -EINVAL, "options: expected keys of a section [vm] alone");
    return 0;
}

int command_create(struct call *call)
{
    static struct config config;
    const struct vm *taken = vm_find(call->arg[0].text);
    char reason[COMMAND_REASON];
    struct vm *vm;
    int err = parse_section(call, &config);

    if (err)
        return err;
    if (taken)
        return call_fail(call, -EBUSY, "%s: a VM of that name is here already, it is %s", taken->name,
                         status_name(taken));
    err = guest_create(&config.vm[0], &vm, reason, sizeof(reason));
    if (err)
        return call_fail(call, err == -ENOENT ? -EINVAL : err, "%s: cannot create, %s", config.vm[0].name, reason);
    call->arg[0].vm = vm;
    return acted(call, "create", 0);
}

int command_console(struct call *call)
{
    u64 end = ~0ULL;

    platform_console_read(call->arg[0].vm, &end, NULL, 0);
    json_string(call->out, "name", call->arg[0].vm->name);
    json_number(call->out, "bytes_sent", end);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_vms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hv/backend.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/rtc.h"
#include "dev/platform.h"
#include "guest/load/images.h"
#include "guest/load/kept.h"
#include "guest/load/create.h"
#include "guest/load/power.h"
#include "host/bits.h"
#include "host/log.h"
#include "host/host_work.h"
#include "hv/vm.h"
#include "stream/vm_history.h"
#include "host/frame.h"
#include "net/net_test.h"
#include "net/netif.h"
#include "net/switch.h"
#include "net/syslog.h"

#define KEEP 16384
#define LINES 5

struct fake {
    struct vm vm;
    struct vcpu vcpu;
    struct platform platform;
    char keep[KEEP];
    u64 sent;
};

static struct fake fakes[3];
static struct list vms;
static struct cpu cpus[2];

static void fake_init(struct fake *fake, const char *name, enum vm_status status)
{
    static u32 id;

    memset(fake, 0, sizeof(*fake));
    snprintf(fake->vm.name, sizeof(fake->vm.name), "%s", name);
    fake->vm.id = ++id;
    fake->vm.status = status;
    fake->vm.identity.epoch = 3;
    guest_tsc_init(&fake->vm.tsc, 2400000, 1000000, true);
    fake->vm.mem.size = fake->vm.memory = 64 << 20;
    fake->vm.mem.pages_2m = 32;
    fake->vm.npt.tables = 3;
    fake->vm.image.kernel = (struct guest_file){ .data = fake, .size = 1 };
    fake->vm.mem.dirty.count = (struct dirty_counters){ .harvests = 2, .by_fault = 5, .by_pml = 6, .by_dbit = 7 };
    fake->vm.platform = &fake->platform;
    fake->platform.net.filtered = 8;
    fake->platform.net.announces = 9;
    fake->vm.nr_vcpus = 1;
    fake->vm.vcpu[0] = &fake->vcpu;
    fake->vcpu.vm = &fake->vm;
    fake->vcpu.guest_ticks = 12345678901;
    fake->vcpu.exits[EXIT_CPUID] = 42;
    fake->vcpu.exits[EXIT_CPUID] = 7;
    list_add_tail(&vms, &fake->vm.node);
}

void fake_trace(u32 index, u64 tsc, const char *what, const struct vm *vm, u64 rip)
{
    struct trace_ring *ring = &cpus[index].trace;

    ring->event[ring->next++ % TRACE_EVENTS] = (struct trace_event){ tsc, what, vm ? vm->id << 8 : 0, rip };
}

void fake_vms_init(void)
{
    list_init(&vms);
    memset(cpus, 0, sizeof(cpus));
    fake_init(&fakes[0], "web", VM_RUNNING);
    fake_init(&fakes[1], "db", VM_PAUSED);
}

struct vm *fake_vm(unsigned index)
{
    return &fakes[index].vm;
}

void fake_console_send(struct vm *vm, const char *bytes, size_t len)
{
    struct fake *fake = container_of(vm, struct fake, vm);

    for (size_t i = 0; i < len; i++)
        fake->keep[fake->sent++ % KEEP] = bytes[i];
}

struct list *vm_list(void)
{
    return &vms;
}

const char *vm_status_name(enum vm_status status)
{
    static const char *const names[] = { "created", "running", "passed", "failed",  "crashed",
                                         "paused",  "off",     "halted", "incoming" };

    return names[status];
}

static int change(struct vm *vm, enum vm_status from, enum vm_status to)
{
    if (vm->status != from)
        return -EINVAL;
    vm->status = to;
    return 0;
}

int vm_pause(struct vm *vm)
{
    return change(vm, VM_RUNNING, VM_PAUSED);
}

int vm_resume(struct vm *vm)
{
    return change(vm, VM_PAUSED, VM_RUNNING);
}

int vm_poweroff(struct vm *vm)
{
    if (!vm_alive(vm))
        return -EINVAL;
    vm->status = VM_OFF;
    return 0;
}

unsigned kept_count(void)
{
    return 2;
}

u64 kept_bytes(void)
{
    return 4 << 20;
}

void shutdown_ask(struct vm *vm, u32 timeout, bool force)
{
    platform_of(vm)->shutdown = (struct shutdown){ .state = SHUTDOWN_ASKED, .timeout = timeout, .force = force };
}

const char *shutdown_name(enum shutdown_state state)
{
    return state == SHUTDOWN_ASKED ? "asked" : "?";
}

const char *history_mode_name(u8 mode)
{
    return mode == HISTORY_COLD ? "cold" : "?";
}

u64 rtc_now_ns(void)
{
    return clock_ns();
}

void acpi_pm_sleep_button(struct acpi_pm *pm)
{
    pm->status |= PM1_SLEEP_BUTTON;
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
    pm->status |= PM1_POWER_BUTTON;
}

int guest_power_on(struct vm *vm, char *reason, size_t room)
{
    if (!guest_image_here(&vm->image)) {
        snprintf(reason, room, "its files are elsewhere");
        return -ENOENT;
    }
    vm->status = VM_RUNNING;
    return 0;
}

/* The boot volume has one file, "kernel". */
bool image_file(const char *path, struct guest_file *file, char *reason, size_t room)
{
    *file = (struct guest_file){ .data = fakes, .size = 2 };
    snprintf(reason, room, "no %s here", path);
    return !strcmp(path, "kernel");
}

int guest_create(const struct config_vm *config, struct vm **vm, char *reason, size_t room)
{
    struct guest_file kernel;

    if (!image_file(config->kernel, &kernel, reason, room))
        return -ENOENT;
    fake_init(&fakes[2], config->name, VM_CREATED);
    *vm = &fakes[2].vm;
    (*vm)->memory = config->memory;
    return 0;
}

void vm_reset_request(struct vm *vm)
{
    vm->resets++;
}

size_t platform_console_read(struct vm *vm, u64 *offset, char *buffer, size_t room)
{
    struct fake *fake = container_of(vm, struct fake, vm);
    u64 first = fake->sent > KEEP ? fake->sent - KEEP : 0;
    size_t len;

    *offset = MIN(MAX(*offset, first), fake->sent);
    len = MIN(room, fake->sent - *offset);
    for (size_t i = 0; i < len; i++)
        buffer[i] = fake->keep[(*offset)++ % KEEP];
    return len;
}

size_t platform_console_write(struct vm *vm, const char *bytes, size_t len)
{
    static unsigned long_ones;

    /* A guest reads by and by: of a long input a part, and then nothing for a moment. */
    if (len > 1 && ++long_ones % 2 == 0)
        return 0;
    len = MIN(len, 1000);
    fake_console_send(vm, bytes, len);
    return len;
}

/* The rest of the host. */

static const struct backend fake_backend = { .name = "none" };

const struct backend *backend_in_use = &fake_backend;

const struct exit_handler exit_handlers[NR_EXITS] = {
    { .name = "exit0" },  { .name = "exit1" },  { .name = "exit2" },  { .name = "exit3" },  { .name = "exit4" },
    { .name = "cpuid" },  { .name = "exit6" },  { .name = "io" },     { .name = "exit8" },  { .name = "exit9" },
    { .name = "exit10" }, { .name = "exit11" }, { .name = "exit12" }, { .name = "exit13" }, { .name = "exit14" },
    { .name = "exit15" }, { .name = "exit16" }, { .name = "exit17" }, { .name = "exit18" }, { .name = "exit19" },
    { .name = "exit20" }, { .name = "exit21" },
};
_Static_assert(EXIT_CPUID == 5 && EXIT_IO == 7 && NR_EXITS == 22, "the names of the two, and of no more");

struct cpu *cpu_at(u32 index)
{
    return &cpus[index];
}

u32 cpu_count(void)
{
    return ARRAY_SIZE(cpus);
}

u64 fake_passed_ns;

u64 clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec + fake_passed_ns;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

u64 clock_ticks_to_ns(u64 ticks)
{
    return ticks;
}

u64 clock_tsc_khz(void)
{
    return 1000000;
}

struct frame_stats frame_stats(void)
{
    return (struct frame_stats){ .total = 1000, .free = 400, .bookkeeping = 1 };
}

u64 (*fake_host_work)(void);

void host_work_add(u64 (*fn)(void))
{
    fake_host_work = fn;
}

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = { "err", "warn", "info", "debug" };

    return names[level];
}

void rtc_text(u64 ns, char text[RTC_TEXT])
{
    snprintf(text, RTC_TEXT, "2026-11-28T20:33:18.%06uZ", (unsigned)(ns / 1000 % 1000000));
}

u64 log_next(void)
{
    return LINES;
}

bool log_read(u64 number, struct kept_line *line)
{
    if (number >= LINES)
        return false;
    line->number = number;
    line->ns = number * 1000000;
    line->level = number % 2 ? LOG_WARN : LOG_INFO;
    line->len = (u16)snprintf(line->text, sizeof(line->text), "line %u", (unsigned)number);
    return true;
}

struct port *switch_ports(void)
{
    static struct port port = { .name = "uplink", .counters = { .rx_frames = 3, .held = 4, .copied_bytes = 500 } };

    return &port;
}

const struct switch_counters *switch_counters(void)
{
    static struct switch_counters counters = { .forwarded = 3, .unforwarded = 2, .mac_conflicts = 5 };

    return &counters;
}

bool syslog_status(struct syslog_status *status)
{
    *status = (struct syslog_status){
        .address = { 10, 9, 0, 1 }, .port = 514, .reachable = true, .sent = 7, .lost = 8, .waiting = 9
    };
    return true;
}

u64 netif_port_conflicts(void)
{
    return 6;
}

u32 netif_port_ip4(void)
{
    return 0x0200090A; /* 10.9.0.2 */
}

const u8 *netif_port_mac(void)
{
    static const u8 mac[MAC_LEN] = { 0x56, 0x54, 0, 0x12, 0x34, 0x56 };

    return mac;
}

/* Done at once, in 250 ms. */
static struct net_test net_test;

int net_test_start(const struct tcp_address *to, u64 size)
{
    if (net_test.status == NET_TEST_COMPLETED)
        return -EBUSY;
    net_test = (struct net_test){ .status = NET_TEST_COMPLETED, .to = *to, .sent = size, .ended = 250000000 };
    return 0;
}

const struct net_test *net_test_result(void)
{
    return &net_test;
}

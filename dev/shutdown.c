/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "vm"
#include "dev/shutdown.h"

#include "dev/platform.h"
#include "host/asm.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/log.h"
#include "hv/vm.h"

const char *shutdown_name(enum shutdown_state state)
{
    static const char *const names[] = {
        [SHUTDOWN_NONE] = "none",     [SHUTDOWN_ASKED] = "asked", [SHUTDOWN_DONE] = "done",
        [SHUTDOWN_FORCED] = "forced", [SHUTDOWN_RESET] = "reset", [SHUTDOWN_LATE] = "late",
    };

    return names[state];
}

static void press(struct vm *vm, u64 now)
{
    spin_lock(&vm->device_lock);
    acpi_pm_power_button(&platform_of(vm)->pm);
    spin_unlock(&vm->device_lock);
    platform_of(vm)->shutdown.again = now + SHUTDOWN_AGAIN_S * NS_PER_S;
}

void shutdown_ask(struct vm *vm, u32 timeout, bool force)
{
    platform_of(vm)->shutdown = (struct shutdown){
        .state = SHUTDOWN_ASKED, .force = force, .timeout = timeout, .asked = clock_ns(), .resets = vm->resets
    };
    press(vm, platform_of(vm)->shutdown.asked);
    pr_info("%s: asked to shut down within %u s%s", vm->name, timeout, force ? ", else it is powered off" : "");
}

static void settle(struct shutdown *shutdown, enum shutdown_state state)
{
    shutdown->state = state;
    shutdown->settled = clock_ns();
}

/* The time is over. */
static void expire(struct vm *vm, struct shutdown *shutdown)
{
    if (!shutdown->force) {
        settle(shutdown, SHUTDOWN_LATE);
        pr_warn("%s: has not shut down within %u s, and runs on", vm->name, shutdown->timeout);
        return;
    }
    settle(shutdown, SHUTDOWN_FORCED);
    pr_warn("%s: has not shut down within %u s: it is powered off", vm->name, shutdown->timeout);
    vm_poweroff(vm);
}

/* The time runs. A guest whose power button puts it to sleep would be woken by another press, and what is pressed while
 * a move holds it may be lost. */
static u64 remind(struct vm *vm, const struct shutdown *shutdown, u64 ends, u64 now)
{
    if (now >= shutdown->again && !vm->holds && !__atomic_load_n(&vm->asleep, __ATOMIC_RELAXED)) {
        press(vm, now);
        pr_info("%s: runs on: its power button is pressed again", vm->name);
    }
    return MIN(ends, MAX(shutdown->again, now + NS_PER_S));
}

/* Look at a VM that was asked. Returns when to look again: clock_ns, ~0: never. One that is held, for a move perhaps,
 * is not ours to end, so its time is over when it is let go. */
static u64 look(struct vm *vm, struct shutdown *shutdown, u64 now)
{
    u64 ends = shutdown->asked + shutdown->timeout * NS_PER_S, ms = (now - shutdown->asked) / 1000000;

    if (vm_ended(vm)) {
        settle(shutdown, SHUTDOWN_DONE);
        pr_info("%s: has shut down after %lu.%lu s", vm->name, ms / 1000, ms / 100 % 10);
    } else if (vm->resets != shutdown->resets) {
        settle(shutdown, SHUTDOWN_RESET);
        pr_warn("%s: was to shut down, and has started anew instead", vm->name);
    } else if (now < ends) {
        return remind(vm, shutdown, ends, now);
    } else if (vm->holds) {
        return now + NS_PER_S;
    } else {
        expire(vm, shutdown);
    }
    return ~0ULL;
}

u64 shutdown_poll(void)
{
    u64 next = ~0ULL, now = clock_ns();

    list_each (struct vm, vm, vm_list()) {
        struct shutdown *shutdown = &platform_of(vm)->shutdown;

        if (shutdown->state == SHUTDOWN_ASKED) {
            u64 again = look(vm, shutdown, now);

            next = MIN(next, again);
        }
    }
    return next == ~0ULL ? next : rdtsc() + clock_ns_to_ticks(next - now);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The chips that every guest gets. */
#pragma once

#include "dev/acpi_pm.h"
#include "dev/apic_bus.h"
#include "dev/cmos.h"
#include "dev/console.h"
#include "dev/irq_wiring.h"
#include "dev/pci.h"
#include "dev/pit.h"
#include "dev/pvclock.h"
#include "dev/shutdown.h"
#include "dev/timer.h"
#include "dev/verdict.h"
#include "dev/virtio_net.h"
#include "dev/virtio_rng.h"
#include "hv/vm.h"

#define STOOD_NS 100000000ULL /* far below the seconds after which a guest's watchdogs report */

struct platform {
    struct timers timers;
    struct apic_bus apics;
    struct irq_wiring irq;
    struct pit pit;
    struct cmos cmos;
    struct acpi_pm pm;
    struct pvclock pvclock;
    struct console console;
    struct verdict verdict;
    struct pci_bus pci;
    struct virtio_net net;
    struct virtio_rng rng;
    struct shutdown shutdown; /* host loop */
};

static inline struct platform *platform_of(const struct vm *vm)
{
    return vm->platform;
}

/*
 * freeze: the VM stands (vm_freeze) so that it can be saved; its time and network card stop. thaw: the VM goes on here,
 * and the time has passed for it; it is told that it stood if that was for more than STOOD_NS. arrive: the VM goes on
 * here for the first time, after its guest has stood for pause_ns; the vcpus' TSC offsets are those of the moment in
 * which it was frozen, and arrive moves them and everything that counts by them. Host loop.
 */
void platform_freeze(struct vm *vm);
void platform_thaw(struct vm *vm);
void platform_arrive(struct vm *vm, u64 pause_ns);

/*
 * The VM's console. platform_console_read copies at most `room` bytes of the guest's output, beginning with byte number
 * *from (0: its first) and skipping bytes that are no longer kept. It moves *from behind the last copied byte and
 * returns how many bytes it copied. platform_console_write types the bytes; it returns how many of them had room, 0
 * while the VM is held. Both take device_lock. Any CPU.
 */
size_t platform_console_read(struct vm *vm, u64 *from, char *buffer, size_t room);
size_t platform_console_write(struct vm *vm, const char *bytes, size_t len);

/* Does another VM on this machine that has not ended have the same MAC or identity? Returns 0 if none has, or -EBUSY
 * with the reason in words. Host loop. */
int platform_check_unique(const struct vm *vm, char *reason, size_t room);

/* Register with hv/vm: from now on each new VM has the platform. Once, at boot, before vm_create. */
void platform_devices_init(void);

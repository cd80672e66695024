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
#include "dev/timer.h"
#include "dev/verdict.h"
#include "dev/virtio_net.h"
#include "dev/virtio_rng.h"
#include "hv/vm.h"

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
};

static inline struct platform *platform_of(const struct vm *vm)
{
    return vm->platform;
}

/*
 * freeze: the VM stands (vm_freeze) so that it can be saved; its time and network card stop. thaw: the VM goes on here,
 * and the time has passed for it. arrive: the VM goes on here for the first time, after its guest has stood for
 * pause_ns; the vcpus' TSC offsets are those of the moment in which it was frozen, and arrive moves them and everything
 * that counts by them. Host loop.
 */
void platform_freeze(struct vm *vm);
void platform_thaw(struct vm *vm);
void platform_arrive(struct vm *vm, u64 pause_ns);

/* Register with hv/vm: from now on each new VM has the platform. Once, at boot, before vm_create. */
void platform_devices_init(void);

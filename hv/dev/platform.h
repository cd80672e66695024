/* SPDX-License-Identifier: BSD-2-Clause */
/* The chips that every guest gets. */
#pragma once

#include "hv/dev/acpi_pm.h"
#include "hv/dev/apic_bus.h"
#include "hv/dev/cmos.h"
#include "hv/dev/console.h"
#include "hv/dev/irq_wiring.h"
#include "hv/dev/pci.h"
#include "hv/dev/pit.h"
#include "hv/dev/pvclock.h"
#include "hv/dev/timer.h"
#include "hv/dev/verdict.h"
#include "hv/dev/virtio_net.h"
#include "hv/dev/virtio_rng.h"
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

/* Register with hv/vm: from now on each new VM has the platform. Once, at boot, before vm_create. */
void platform_devices_init(void);

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "vm"
#include "dev/platform.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/acpi_sleep.h"
#include "host/clock.h"
#include "host/rtc.h"
#include "host/log.h"
#include "dev/sha256.h"
#include "host/host_work.h"
#include "net/ethernet.h"
#include "net/mac.h"
#include "net/uplink.h"

/* Slots of the PCI bus; 0 is the host bridge. */
enum { SLOT_NET = 1, SLOT_RNG = 2 };

static void mac_choose(struct vm *vm)
{
    if (!mac_is_zero(vm->mac))
        return;
    mac_default(vm->mac, uplink_mac(), vm->name);
    pr_info("%s: mac %s, made from its name and the MAC of the machine's card", vm->name, mac_text(vm->mac).text);
}

/* Make a VM's identity, if neither its configuration nor the machine that it comes from gives one. It is the same at
 * each boot. */
static void id_choose(struct vm *vm, const u8 mac[MAC_LEN])
{
    static const u8 none[VM_ID];
    u8 text[CONFIG_NAME + MAC_LEN], digest[SHA256_BYTES];

    if (memcmp(vm->identity.id, none, VM_ID))
        return;
    memcpy(text, vm->name, CONFIG_NAME);
    memcpy(text + CONFIG_NAME, mac, MAC_LEN);
    sha256(text, sizeof(text), digest);
    memcpy(vm->identity.id, digest, VM_ID);
}

static int attach_pci(struct platform *platform, struct vm *vm)
{
    int err = pci_bus_init(&platform->pci, vm);

    if (err)
        return err;
    mac_choose(vm);
    id_choose(vm, vm->mac);
    virtio_net_init(&platform->net, vm, &platform->pci, SLOT_NET, vm->mac);
    virtio_rng_init(&platform->rng, vm, &platform->pci, SLOT_RNG);
    return 0;
}

/* Attach in the order in which a saved VM is restored: time first, then the chips to which the others signal. */
static int attach_chips(struct platform *platform, struct vm *vm)
{
    int err;

    timers_init(&platform->timers, vm);
    err = apic_bus_init(&platform->apics, vm);
    if (!err)
        err = irq_wiring_init(&platform->irq, vm, &platform->apics);
    if (!err)
        err = pit_init(&platform->pit, vm);
    if (!err)
        err = cmos_init(&platform->cmos, vm);
    if (!err)
        err = acpi_pm_init(&platform->pm, vm);
    pvclock_init(&platform->pvclock, vm);
    if (!err)
        err = console_init(&platform->console, vm);
    if (!err)
        err = verdict_init(&platform->verdict, vm);
    if (!err)
        err = attach_pci(platform, vm);
    return err;
}

static int attach(struct vm *vm)
{
    struct platform *platform = calloc(1, sizeof(*platform));

    if (!platform)
        return -ENOMEM;
    vm->platform = platform;
    return attach_chips(platform, vm);
}

static void detach(struct vm *vm)
{
    struct platform *platform = vm->platform;

    if (!platform)
        return;
    /* Attaching may have failed before these were there. */
    if (platform->net.vm)
        virtio_net_fini(&platform->net);
    if (platform->rng.vm)
        virtio_rng_fini(&platform->rng);
    apic_bus_fini(&platform->apics);
    free(platform);
}

void platform_freeze(struct vm *vm)
{
    struct platform *platform = platform_of(vm);

    timers_freeze(&platform->timers);
    /* These chips note the passing of time only when they are asked, and a restore asks them. They are asked now, so
     * that the restore finds the state that was saved. */
    spin_lock(&vm->device_lock);
    pit_settle(&platform->pit);
    cmos_settle(&platform->cmos);
    acpi_pm_settle(&platform->pm);
    spin_unlock(&vm->device_lock);
    virtio_net_pause(&platform->net);
}

/* Is all here that the hypervisor writes into the guest's memory by itself? If not, it has been asked for. */
static bool structures_here(struct vm *vm)
{
    int missing = 0;

    for (u32 i = 0; i < vm->nr_vcpus; i++)
        missing |= pvclock_ask(vm->vcpu[i]) | apic_bus_ask(vm->vcpu[i]);
    return !missing;
}

/* Tell the guest that it has stood, and goes on here. If that has to wait for missing pages, which have been asked for
 * then, all vcpus wait, because each of them may read the clock of another one. No vcpu runs. */
static void tell_that_it_stood(struct vm *vm)
{
    bool here = structures_here(vm);

    for (u32 i = 0; i < vm->nr_vcpus && here; i++)
        pvclock_stood(vm->vcpu[i]);
    /* Release: who finds that the vcpus need not wait finds the structures written. */
    __atomic_store_n(&vm->behind, here ? 0 : vm->behind ? vm->behind : clock_ns(), __ATOMIC_RELEASE);
}

/* After a checkpoint, of which there are many in a second, its watchdogs go on. */
void platform_thaw(struct vm *vm)
{
    struct platform *platform = platform_of(vm);
    bool stood = rdtsc() - platform->timers.frozen > clock_ns_to_ticks(STOOD_NS);

    timers_thaw(&platform->timers);
    if (stood || !structures_here(vm))
        tell_that_it_stood(vm);
    virtio_net_resume(&platform->net);
}

void platform_arrive(struct vm *vm, u64 pause_ns)
{
    struct platform *platform = platform_of(vm);
    u64 frozen = platform->timers.frozen, paused = clock_ns_to_ticks(pause_ns);

    timers_restart(&platform->timers, pause_ns);

    /* For the guest pause_ns have passed, while the TSC has jumped from the other host's to ours. */
    u64 now = platform->timers.tsc;
    u64 jump = guest_tsc_scale(&vm->tsc, now) - guest_tsc_scale(&vm->tsc, frozen) - guest_tsc_scale(&vm->tsc, paused);

    for (u32 i = 0; i < vm->nr_vcpus; i++)
        vm->vcpu[i]->tsc_offset -= jump;
    tell_that_it_stood(vm);
    apic_bus_shift(&platform->apics, (s64)(now - frozen - paused));
    virtio_net_resume(&platform->net);
}

int platform_check_unique(const struct vm *vm, char *reason, size_t room)
{
    const char *owner = virtio_net_owner(platform_of(vm)->net.mac, &platform_of(vm)->net);

    if (owner) {
        snprintf(reason, room, "its MAC %02x:%02x:%02x:%02x:%02x:%02x is the one of %s here, too", vm->mac[0],
                 vm->mac[1], vm->mac[2], vm->mac[3], vm->mac[4], vm->mac[5], owner);
        return -EBUSY;
    }
    list_each (const struct vm, other, vm_list()) {
        if (other != vm && !vm_ended(other) && !memcmp(other->identity.id, vm->identity.id, VM_ID)) {
            snprintf(reason, room, "its identity (uuid) is the one of %s here, too", other->name);
            return -EBUSY;
        }
    }
    return 0;
}

size_t platform_console_read(struct vm *vm, u64 *from, char *buffer, size_t room)
{
    return console_read(&platform_of(vm)->console, from, buffer, room);
}

size_t platform_console_write(struct vm *vm, const char *bytes, size_t len)
{
    return vm->holds ? 0 : console_input(&platform_of(vm)->console, bytes, len);
}

static const struct vm_platform_ops platform_ops = {
    .attach = attach,
    .detach = detach,
    .stood = tell_that_it_stood,
    .waits = pvclock_waits,
    .goes_on = pvclock_goes_on,
    .read_msr = pvclock_read_msr,
    .write_msr = pvclock_write_msr,
    .tsc_changed = pvclock_update,
};

void platform_devices_init(void)
{
    rtc_init();
    vm_platform = &platform_ops;
    host_work_add(timers_poll);
    host_work_add(virtio_rng_poll);
    host_work_add(virtio_net_poll);
    host_work_add(shutdown_poll);
    host_work_add(acpi_sleep_poll);
}

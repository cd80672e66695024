/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/vm_describe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/clock.h"
#include "dev/platform.h"
#include "guest/load/digests.h"
#include "guest/load/images.h"
#include "host/bits.h"
#include "host/panic.h"
#include "hv/vm.h"
#include "stream/cpu_words.h"
#include "migrate/vm_state.h"
#include "host/frame.h"
#include "net/ethernet.h"
#include "net/mac.h"
#include "net/snoop.h"
#include "net/switch.h"
#include "owners/asking.h"
#include "owners/witness.h"

_Static_assert(WIRE_NAME == CONFIG_NAME && WIRE_ID == VM_ID && WIRE_MAC == CONFIG_MAC, "copied as they are");

#define OVERHEAD_SHIFT 6 /* tables, maps and the kernel of the move may need 1/64 of a guest's memory */
#define OVERHEAD_MIN MiB(2)

static void describe_macs(const struct virtio_net *net, struct wire_reserve *head)
{
    memcpy(head->mac, net->mac, MAC_LEN);
    memcpy(head->taken_mac, net->port.mac, MAC_LEN);
    for (unsigned i = 0; i < net->port.nr_addresses; i++) {
        const struct port_address *address = &net->port.address[i];

        head->further_macs += address->kind == PORT_MAC && snoop_alive(address, clock_ns()) &&
                              !mac_equal(address->mac, net->port.mac);
    }
}

/* As guest_mem_init lays it out; a VM that has ended has none. */
static void describe_ram(u64 memory, struct migrate_description *d)
{
    u64 low = MIN(memory, GUEST_PCI_HOLE_BASE);

    d->range[d->head.nr_ranges++] = (struct wire_range){ 0, low };
    if (memory > low)
        d->range[d->head.nr_ranges++] = (struct wire_range){ GUEST_PCI_HOLE_END, memory - low };
}

void vm_describe(const struct vm *vm, struct migrate_description *d)
{
    memcpy(d->head.name, vm->name, sizeof(d->head.name));
    d->head.memory = vm->memory;
    d->head.nr_vcpus = vm->nr_vcpus;
    d->head.flags = witness_configured() ? WIRE_WITNESS : 0;
    d->head.mtu = VIRTIO_NET_MTU;
    d->head.tsc_khz = vm->tsc.khz;
    d->head.kernel = (struct wire_file){ vm->image.kernel.size, vm->image.kernel.digest };
    d->head.initrd = (struct wire_file){ vm->image.initrd.size, vm->image.initrd.digest };
    describe_macs(&platform_of(vm)->net, &d->head);
    describe_ram(vm->memory, d);
    d->head.nr_cpuid = cpu_words_make(&vm->identity.cpuid, d->cpuid);
    d->head.nr_devices = vm_devices(vm, d->device);
}

static enum wire_code refuse(char reason[WIRE_REASON], enum wire_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(reason, WIRE_REASON, format, args);
    va_end(args);
    return code;
}

/* Neither a VM of this name nor this VM itself may be here already; a VM that has ended needs neither. One that waits
 * to be started needs its name. */
static enum wire_code check_name(const struct migrate_description *d, char reason[WIRE_REASON])
{
    const char *fault = config_name_fault(d->head.name);

    if (fault)
        return refuse(reason, WIRE_E_NAME, "%s", fault);
    list_each (const struct vm, vm, vm_list()) {
        bool same = !memcmp(vm->identity.id, d->vm_id, VM_ID);
        bool needed = !vm_ended(vm) || (!same && asking_waits(vm));

        if (vm == d->instead || !needed || (!same && strcmp(vm->name, d->head.name) != 0))
            continue;
        return refuse(reason, WIRE_E_NAME, "%s, named %s, is there already, it is %s", same ? "this VM" : "another VM",
                      vm->name, vm_status_name(vm->status));
    }
    return WIRE_OK;
}

/* Two machines with one MAC take each other's frames. `net` is the VM's card, if the VM is here already. */
static enum wire_code check_macs(const u8 *own, const u8 *taken, const struct virtio_net *net, char reason[WIRE_REASON])
{
    const char *owner = virtio_net_owner(own, net);

    if (!owner)
        owner = virtio_net_owner(taken, net);
    if (!mac_is_card(own) || !mac_is_card(taken))
        snprintf(reason, WIRE_REASON, "its MACs %s and %s are none of a card", mac_text(own).text,
                 mac_text(taken).text);
    else if (owner)
        snprintf(reason, WIRE_REASON, "its MAC %s is the one of %s there", mac_text(taken).text, owner);
    else if (switch_settings()->anti_spoof && !mac_equal(own, taken))
        snprintf(reason, WIRE_REASON,
                 "it sends from %s instead of its card's %s, which anti-spoof of [net] forbids there",
                 mac_text(taken).text, mac_text(own).text);
    else
        return WIRE_OK;
    return WIRE_E_MAC;
}

static u64 needed_bytes(const struct migrate_description *d)
{
    return d->head.memory + MAX(d->head.memory >> OVERHEAD_SHIFT, OVERHEAD_MIN);
}

bool vm_describe_fits(const struct migrate_description *d)
{
    return needed_bytes(d) <= frame_stats().free << PAGE_SHIFT;
}

/* Is the RAM as guest_mem_init lays it out, and is enough memory free? */
static enum wire_code check_memory(const struct migrate_description *d, char reason[WIRE_REASON])
{
    const struct wire_range *range = d->range;
    u64 low = MIN(d->head.memory, GUEST_PCI_HOLE_BASE), high = d->head.memory - low;
    u64 free = (frame_stats().free << PAGE_SHIFT) + d->spare, need = needed_bytes(d);

    if (d->head.memory > CONFIG_MEMORY_MAX || range[0].gpa != 0 || range[0].bytes != low ||
        d->head.nr_ranges != (high ? 2u : 1u) || (high && range[1].gpa != GUEST_PCI_HOLE_END))
        return refuse(reason, WIRE_E_MEMORY, "RAM of %lu MiB lies otherwise than guests' does there",
                      d->head.memory >> 20);
    if (need <= free)
        return WIRE_OK;
    return refuse(reason, WIRE_E_MEMORY, "it needs %lu MiB of memory, %lu MiB are free", need >> 20, free >> 20);
}

/* The devices that every VM has here, taken once from a VM of the smallest size that is made and destroyed again.
 * Returns how many; 0: there is no memory for that now. */
static unsigned devices_here(struct wire_device device[WIRE_DEVICES])
{
    static struct wire_device seen[WIRE_DEVICES];
    static unsigned count;

    if (!count) {
        const struct config_vm smallest = { .name = "devices", .mac = { 2 }, .memory = CONFIG_MEMORY_MIN, .vcpus = 1 };
        struct vm *vm = vm_create(&smallest, NULL);

        if (vm) {
            count = vm_devices(vm, seen);
            vm_destroy(vm);
        }
    }
    memcpy(device, seen, sizeof(seen));
    return count;
}

static enum wire_code check_devices(const struct migrate_description *d, char reason[WIRE_REASON])
{
    struct wire_device here[WIRE_DEVICES];
    unsigned count = devices_here(here);

    if (!count)
        return refuse(reason, WIRE_E_MEMORY, "no memory to look what devices a VM has there");
    for (u32 i = 0; i < d->head.nr_devices; i++) {
        const struct wire_device *device = &d->device[i];
        unsigned k = 0;

        while (k < count && (strcmp(here[k].name, device->name) != 0 || here[k].instance != device->instance))
            k++;
        if (k < count && here[k].version == device->version)
            continue;
        return refuse(reason, WIRE_E_DEVICE, "its device %s %u has version %u, there it %s", device->name,
                      device->instance, device->version, k < count ? "has another" : "is unknown");
    }
    if (d->head.nr_devices == count)
        return WIRE_OK;
    return refuse(reason, WIRE_E_DEVICE, "it has %u devices, there a VM has %u", d->head.nr_devices, count);
}

/* A guest that starts anew here sees this machine's processor. */
static enum wire_code check_processor(const struct migrate_description *d, struct cpuid_policy *policy,
                                      char reason[WIRE_REASON])
{
    if (d->head.flags & WIRE_COLD)
        *policy = *cpuid_host_policy();
    else if (!cpu_words_take(d->cpuid, d->head.nr_cpuid, cpuid_host_policy(), policy, reason))
        return WIRE_E_CPU;
    return WIRE_OK;
}

static enum wire_code check_shape(const struct migrate_description *d, char reason[WIRE_REASON])
{
    if (d->head.nr_vcpus > CONFIG_MAX_VCPUS)
        return refuse(reason, WIRE_E_CPU, "it has %u vcpus, there a VM may have %u", d->head.nr_vcpus,
                      CONFIG_MAX_VCPUS);
    if (!guest_tsc_is_khz(d->head.tsc_khz))
        return refuse(reason, WIRE_E_CPU, "its TSC of %lu kHz is none, expected %u to %u", d->head.tsc_khz,
                      GUEST_TSC_KHZ_MIN, GUEST_TSC_KHZ_MAX);
    if (d->head.mtu > VIRTIO_NET_MTU)
        return refuse(reason, WIRE_E_DEVICE, "its network's MTU is %u, there it is %u", d->head.mtu, VIRTIO_NET_MTU);
    return WIRE_OK;
}

static struct guest_file file_of(struct wire_file file)
{
    return (struct guest_file){ .size = file.size, .digest = file.digest };
}

enum wire_code vm_describe_check(const struct migrate_description *d, struct config_vm *config,
                                 struct vm_identity *identity, char reason[WIRE_REASON])
{
    struct guest_image image = { .kernel = file_of(d->head.kernel), .initrd = file_of(d->head.initrd) };
    enum wire_code code = check_name(d, reason);

    code = code ? code : check_shape(d, reason);
    code = code ? code : check_processor(d, &identity->cpuid, reason);
    if (!code)
        code = check_macs(d->head.mac, d->head.taken_mac, d->instead ? &platform_of(d->instead)->net : NULL, reason);
    if (!code && !(d->head.flags & WIRE_COLD))
        code = check_devices(d, reason);
    code = code ? code : check_memory(d, reason);
    if (!code && (d->head.flags & (WIRE_COLD | WIRE_FOLLOW)) &&
        !digests_may_fit(d->head.name, &image, d->head.flags & WIRE_FOLLOW, reason, WIRE_REASON))
        code = WIRE_E_RIGHTS;
    memcpy(identity->id, d->vm_id, VM_ID);
    identity->epoch = d->epoch;
    *config = (struct config_vm){ .memory = d->head.memory, .vcpus = d->head.nr_vcpus };
    memcpy(config->name, d->head.name, sizeof(config->name));
    memcpy(config->mac, d->head.mac, sizeof(config->mac));
    return code;
}

enum wire_code vm_describe_recheck(const struct vm *vm, char reason[WIRE_REASON])
{
    const struct virtio_net *net = &platform_of(vm)->net;

    return check_macs(net->mac, net->port.mac, net, reason);
}

static void warn(struct wire_accepted *accepted, const char *format, ...)
{
    va_list args;

    assert(accepted->count < WIRE_WARNINGS);
    va_start(args, format);
    vsnprintf(accepted->warning[accepted->count++], WIRE_REASON, format, args);
    va_end(args);
}

void vm_describe_warn(const struct migrate_description *d, struct wire_accepted *accepted)
{
    struct guest_image image = { .kernel = file_of(d->head.kernel), .initrd = file_of(d->head.initrd) };
    char reason[WIRE_REASON];
    struct guest_tsc tsc;

    if (switch_settings()->anti_spoof && d->head.further_macs)
        warn(accepted, "it sends from %u further MACs, which anti-spoof of [net] forbids there", d->head.further_macs);
    image_locate(&image, d->vm_id);
    if (!guest_image_here(&image) && !(d->head.flags & (WIRE_COLD | WIRE_FOLLOW)))
        warn(accepted, "what it starts from is not among the files there (images of [migration]): no reset");
    else if (!digests_may_fit(d->head.name, &image, false, reason, sizeof(reason)))
        warn(accepted, "%s: no reset", reason);
    vm_tsc_here(&tsc, d->head.tsc_khz);
    if (guest_tsc_strays(&tsc) && !(d->head.flags & WIRE_COLD))
        warn(accepted, "its TSC of %lu kHz would run at %lu: only its paravirtual clock and its timers would be right",
             tsc.khz, guest_tsc_khz_here(&tsc));
}

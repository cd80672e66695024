/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/vm_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/backend.h"
#include "host/clock.h"
#include "dev/platform.h"
#include "guest/load/images.h"
#include "hv/msr.h"
#include "hv/vm.h"
#include "migrate/state.h"

#define SECTION_VCPU "vcpu"
#define SECTION_VM "vm"
#define VM_VERSION 3 /* version 3 has what a triple fault does */
#define XSAVE_AVX 2  /* the component's number */

_Static_assert(STATE_XSAVE_BYTES == PAGE_SIZE, "vcpu->fpu is a page");

static void limits_make(const struct vm *vm, struct state_limits *limits)
{
    const struct cpuid_policy *policy = &vm->identity.cpuid;

    *limits = (struct state_limits){
        .cr4 = cpuid_cr4_mask(policy),
        .efer = cpuid_efer_mask(policy),
        .xcr0 = policy->xcr0,
        .maxphyaddr = cpuid_maxphyaddr(),
    };
    if (policy->xcr0 & XCR0_AVX) {
        limits->component[XSAVE_AVX].offset = policy->xsave_avx.ebx;
        limits->component[XSAVE_AVX].size = policy->xsave_avx.eax;
    }
    limits->msr = msr_stored_list(&limits->msrs);
}

/* --- A vcpu ------------------------------------------------------------------------------------------------- */

static void image_take(struct vcpu *vcpu, const struct state_limits *limits, struct vcpu_image *image)
{
    memset(image, 0, sizeof(*image));
    backend()->get(vcpu, &image->state, STATE_ALL);
    memcpy(image->regs, vcpu->regs, sizeof(image->regs));
    image->rip = vcpu->rip;
    image->rflags = vcpu->rflags;
    image->cr2 = vcpu->cr2;
    image->shadow = vcpu->shadow;
    image->nmi_blocked = vcpu->nmi_blocked;
    image->nmi_pending = vcpu->nmi_pending;
    image->event = vcpu->event;
    image->status = vcpu->status;
    memcpy(image->dr, vcpu->dr, sizeof(image->dr));
    image->tsc_aux = vcpu->tsc_aux;
    image->xcr0 = vcpu->xcr0;
    image->tsc = vcpu_tsc(vcpu, timers_tsc(&platform_of(vcpu->vm)->timers));
    image->tsc_khz = vcpu->vm->tsc.khz;
    image->msrs = limits->msrs;
    for (u32 i = 0; i < limits->msrs; i++)
        image->msr[i] = (struct msr_value){ limits->msr[i], msr_stored_get(vcpu, limits->msr[i]) };
    memcpy(image->xsave, vcpu->fpu, STATE_XSAVE_BYTES);
}

/* Put the image into the vcpu. Returns NULL, or what this host can't take. */
static const char *image_put(struct vcpu *vcpu, const struct vcpu_image *image)
{
    if (vcpu->id == 0)
        vm_tsc_here(&vcpu->vm->tsc, image->tsc_khz);
    else if (image->tsc_khz != vcpu->vm->tsc.khz)
        return "TSC of another frequency than that of vcpu 0";
    for (u32 i = 0; i < image->msrs; i++)
        if (msr_stored_set(vcpu, image->msr[i].index, image->msr[i].value))
            return "a value that its MSR can't hold";
    backend()->set(vcpu, &image->state, STATE_ALL);
    memcpy(vcpu->regs, image->regs, sizeof(vcpu->regs));
    vcpu->rip = image->rip;
    vcpu->rflags = image->rflags;
    vcpu->cr2 = image->cr2;
    vcpu->shadow = image->shadow;
    vcpu->nmi_blocked = image->nmi_blocked;
    vcpu->nmi_pending = image->nmi_pending;
    vcpu->event = image->event;
    vcpu->status = (enum vcpu_status)image->status;
    vcpu->osxsave = image->state.cr4 & CR4_OSXSAVE;
    memcpy(vcpu->dr, image->dr, sizeof(vcpu->dr));
    vcpu->tsc_aux = image->tsc_aux;
    vcpu->xcr0 = image->xcr0;
    vcpu->tsc_offset += image->tsc - vcpu_tsc(vcpu, timers_tsc(&platform_of(vcpu->vm)->timers));
    memcpy(vcpu->fpu, image->xsave, STATE_XSAVE_BYTES);
    return NULL;
}

static int vcpu_save(struct vcpu *vcpu, struct writer *w)
{
    struct vcpu_image *image = malloc(sizeof(*image));
    struct state_limits limits;

    if (!image)
        return -ENOMEM;
    limits_make(vcpu->vm, &limits);
    image_take(vcpu, &limits, image);
    state_encode(image, &limits, w);
    free(image);
    return 0;
}

static int vcpu_restore(struct vcpu *vcpu, struct reader *r, char reason[WIRE_REASON])
{
    struct vcpu_image *image = malloc(sizeof(*image));
    struct state_limits limits;
    const char *why = "no memory";
    int err = -ENOMEM;

    limits_make(vcpu->vm, &limits);
    if (image)
        err = state_decode(image, vcpu->id, &limits, r, &why);
    if (!err) {
        why = image_put(vcpu, image);
        err = why ? -EINVAL : 0;
    }
    if (err)
        snprintf(reason, WIRE_REASON, "%s", why);
    free(image);
    return err;
}

/* --- The VM itself: what its guest starts anew from ------------------------------------------------------------ */

static void file_save(const struct guest_file *file, struct writer *w)
{
    put_u64(w, file->size);
    put_u64(w, file->digest);
}

static void file_restore(struct guest_file *file, struct reader *r)
{
    *file = (struct guest_file){ .size = get_u64(r) };
    file->digest = get_u64(r);
}

static int vm_save(const struct vm *vm, struct writer *w)
{
    put_u16(w, VM_VERSION);
    put_u8(w, vm->status == VM_PAUSED || (vm->status == VM_INCOMING && vm->incoming.paused));
    put_u64(w, vm->resets);
    put_u8(w, vm->on_crash);
    file_save(&vm->image.kernel, w);
    file_save(&vm->image.initrd, w);
    put_bytes(w, vm->image.cmdline, sizeof(vm->image.cmdline));
    return 0;
}

static int vm_restore(struct vm *vm, struct reader *r)
{
    int err = get_version(r, VM_VERSION);
    u8 paused = get_u8(r);

    if (err)
        return err;
    vm->incoming.paused = paused;
    vm->resets = get_u64(r);
    vm->on_crash = get_u8(r);
    file_restore(&vm->image.kernel, r);
    file_restore(&vm->image.initrd, r);
    get_bytes(r, vm->image.cmdline, sizeof(vm->image.cmdline));
    if (paused > 1 || vm->on_crash >= NR_CONFIG_CRASH || r->truncated ||
        !memchr(vm->image.cmdline, '\0', sizeof(vm->image.cmdline)))
        return -EINVAL;
    image_locate(&vm->image);
    return 0;
}

/* --- Sections: the devices in their order, the vcpus, the VM ------------------------------------------------- */

/* How many devices of the same name come before this one. */
static u32 instance_of(const struct vm *vm, const struct device *device)
{
    u32 instance = 0;

    list_for_each (node, &vm->devices) {
        const struct device *other = container_of(node, struct device, node);

        if (other == device)
            break;
        instance += !strcmp(other->ops->name, device->ops->name);
    }
    return instance;
}

static struct device *device_at(const struct vm *vm, unsigned index)
{
    list_for_each (node, &vm->devices)
        if (index-- == 0)
            return container_of(node, struct device, node);
    return NULL;
}

static unsigned device_count(const struct vm *vm)
{
    unsigned count = 0;

    list_for_each (node, &vm->devices)
        count++;
    return count;
}

unsigned vm_section_count(const struct vm *vm)
{
    return device_count(vm) + vm->nr_vcpus + 1;
}

unsigned vm_devices(const struct vm *vm, struct wire_device device[WIRE_DEVICES])
{
    unsigned count = 0;

    list_for_each (node, &vm->devices) {
        const struct device *from = container_of(node, struct device, node);
        struct wire_device *to = &device[count];

        if (count++ == WIRE_DEVICES)
            return WIRE_DEVICES;
        *to = (struct wire_device){ .instance = instance_of(vm, from), .version = from->ops->version };
        snprintf(to->name, sizeof(to->name), "%s", from->ops->name);
    }
    return count;
}

/* Fill in the name and instance of section `index`. Returns its device; NULL: it is a vcpu's or the VM's, or there is
 * no such section, and the name is empty. */
static struct device *section_name(const struct vm *vm, unsigned index, struct wire_section *section)
{
    unsigned devices = device_count(vm);
    struct device *device = device_at(vm, index);

    memset(section, 0, sizeof(*section));
    if (device) {
        snprintf(section->name, sizeof(section->name), "%s", device->ops->name);
        section->instance = instance_of(vm, device);
    } else if (index < devices + vm->nr_vcpus) {
        strcpy(section->name, SECTION_VCPU);
        section->instance = index - devices;
    } else if (index == devices + vm->nr_vcpus) {
        strcpy(section->name, SECTION_VM);
    }
    return device;
}

int vm_section_save(void *ctx, unsigned index, struct wire_section *section, struct writer *w)
{
    struct vm *vm = ctx;
    struct device *device = section_name(vm, index, section);
    int err;

    if (!section->name[0])
        return -ENOENT;
    if (!device)
        return index + 1 == vm_section_count(vm) ? vm_save(vm, w) : vcpu_save(vm->vcpu[section->instance], w);
    spin_lock(&vm->device_lock);
    err = device->ops->save(device, w);
    spin_unlock(&vm->device_lock);
    return err;
}

int vm_section_load(struct vm *vm, unsigned index, const struct wire_section *section, struct reader *r,
                    char reason[WIRE_REASON])
{
    struct wire_section expected;
    struct device *device = section_name(vm, index, &expected);
    int err;

    if (strcmp(section->name, expected.name) != 0 || section->instance != expected.instance || !expected.name[0]) {
        snprintf(reason, WIRE_REASON, "expected %s %u", expected.name[0] ? expected.name : "no more",
                 expected.instance);
        return -ENOENT;
    }
    if (!device)
        return index + 1 == vm_section_count(vm) ? vm_restore(vm, r)
                                                 : vcpu_restore(vm->vcpu[section->instance], r, reason);
    spin_lock(&vm->device_lock);
    err = device->ops->load(device, r);
    spin_unlock(&vm->device_lock);
    return err;
}

static int section_rehearse(struct vm *vm, unsigned index, u8 *buf, char reason[WIRE_REASON])
{
    struct writer w = { .buf = buf, .cap = WIRE_BODY_MAX };
    struct wire_section section;
    struct reader r = { .buf = buf };
    int err = vm_section_save(vm, index, &section, &w);

    r.len = w.len;
    if (!err && !w.overflow)
        err = vm_section_load(vm, index, &section, &r, reason);
    if (err || w.overflow || r.truncated || r.pos != r.len) {
        snprintf(reason, WIRE_REASON, "state of %s %u: this machine does not take its own", section.name,
                 section.instance);
        return -EINVAL;
    }
    return 0;
}

bool vm_state_rehearse(struct vm *vm, char reason[WIRE_REASON])
{
    u8 *buf = malloc(WIRE_BODY_MAX);
    int err = buf ? 0 : -ENOMEM;

    for (unsigned i = 0; !err && i < vm_section_count(vm); i++)
        err = section_rehearse(vm, i, buf, reason);
    if (!buf)
        snprintf(reason, WIRE_REASON, "no memory for a rehearsal");
    free(buf);
    return !err;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/vm_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/backend.h"
#include "dev/platform.h"
#include "guest/load/images.h"
#include "hv/msr.h"
#include "hv/vm.h"
#include "stream/vcpu_image.h"
#include "stream/vm_history.h"
#include "mm/guest_walk.h"

#define SECTION_VCPU "vcpu"
#define SECTION_VM "vm"
#define VM_VERSION 4 /* version 4 has where the VM has been */
#define XSAVE_AVX 2  /* the component's number */

_Static_assert(VCPU_IMAGE_XSAVE == PAGE_SIZE, "vcpu->fpu is a page");

static void limits_make(const struct vm *vm, struct vcpu_limits *limits)
{
    const struct cpuid_policy *policy = &vm->identity.cpuid;

    *limits = (struct vcpu_limits){
        .cr4 = cpuid_cr4_mask(policy),
        .efer = cpuid_efer_mask(policy),
        .xcr0 = policy->xcr0,
        .maxphyaddr = GUEST_MAXPHYADDR,
    };
    if (policy->xcr0 & XCR0_AVX) {
        limits->component[XSAVE_AVX].offset = policy->xsave_avx.ebx;
        limits->component[XSAVE_AVX].size = policy->xsave_avx.eax;
    }
    limits->msr = msr_stored_list(&limits->msrs);
}

/* --- A vcpu ------------------------------------------------------------------------------------------------- */

static void copy(bool to_vcpu, void *in_vcpu, void *in_image, size_t size)
{
    memcpy(to_vcpu ? in_vcpu : in_image, to_vcpu ? in_image : in_vcpu, size);
}

#define COPY(field)                                                               \
    do {                                                                          \
        _Static_assert(sizeof(vcpu->field) == sizeof(image->field), "same type"); \
        copy(to_vcpu, &vcpu->field, &image->field, sizeof(image->field));         \
    } while (0)

/* The fields that struct vcpu has, too, in the image's direction or the vcpu's. */
static void image_copy(bool to_vcpu, struct vcpu *vcpu, struct vcpu_image *image)
{
    COPY(regs);
    COPY(rip);
    COPY(rflags);
    COPY(cr2);
    COPY(shadow);
    COPY(nmi_blocked);
    COPY(nmi_pending);
    COPY(event);
    COPY(dr);
    COPY(tsc_aux);
    COPY(xcr0);
    copy(to_vcpu, vcpu->fpu, image->xsave, VCPU_IMAGE_XSAVE);
}

static void image_take(struct vcpu *vcpu, const struct vcpu_limits *limits, struct vcpu_image *image)
{
    memset(image, 0, sizeof(*image));
    backend()->get(vcpu, &image->state, STATE_ALL);
    image_copy(false, vcpu, image);
    image->status = vcpu->status >= VCPU_WAIT_PAGE ? VCPU_RUNNABLE : vcpu->status; /* it asks again */
    image->tsc = vcpu_tsc(vcpu, timers_tsc(&platform_of(vcpu->vm)->timers));
    image->tsc_khz = vcpu->vm->tsc.khz;
    image->msrs = limits->msrs;
    for (u32 i = 0; i < limits->msrs; i++)
        image->msr[i] = (struct msr_value){ limits->msr[i], msr_stored_get(vcpu, limits->msr[i]) };
}

/* Put the image, which was judged, into the vcpu, unless this host can't take it. */
static void image_put(struct vcpu *vcpu, struct vcpu_image *image, struct codec *c)
{
    if (vcpu->id == 0)
        vm_tsc_here(&vcpu->vm->tsc, image->tsc_khz);
    codec_judge(c, image->tsc_khz == vcpu->vm->tsc.khz, "TSC of another frequency than that of vcpu 0");
    for (u32 i = 0; i < image->msrs && !c->err; i++)
        codec_judge(c, !msr_stored_set(vcpu, image->msr[i].index, image->msr[i].value),
                    "a value that its MSR can't hold");
    if (c->err)
        return;
    backend()->set(vcpu, &image->state, STATE_ALL);
    image_copy(true, vcpu, image);
    vcpu->status = (enum vcpu_status)image->status;
    vcpu->osxsave = image->state.cr4 & CR4_OSXSAVE;
    vcpu->tsc_offset += image->tsc - vcpu_tsc(vcpu, timers_tsc(&platform_of(vcpu->vm)->timers));
}

static void vcpu_section(struct vcpu *vcpu, struct codec *c)
{
    struct vcpu_image *image = malloc(sizeof(*image));
    struct vcpu_limits limits;

    if (!image) {
        codec_refuse(c, -ENOMEM, "no memory");
        return;
    }
    limits_make(vcpu->vm, &limits);
    if (!c->restoring)
        image_take(vcpu, &limits, image);
    vcpu_image_state(image, vcpu->id, &limits, c);
    if (codec_restored(c))
        image_put(vcpu, image, c);
    free(image);
}

/* --- The VM itself: what its guest starts anew from ------------------------------------------------------------ */

static void file_state(struct guest_file *file, struct codec *c)
{
    codec_u64(c, &file->size);
    codec_u64(c, &file->digest);
    if (c->restoring)
        *file = (struct guest_file){ .size = file->size, .digest = file->digest };
}

void vm_state_own(struct vm *vm, struct codec *c)
{
    bool paused = vm->status == VM_PAUSED || (vm->status == VM_INCOMING && vm->incoming.paused);

    codec_version(c, VM_VERSION);
    codec_bool(c, &paused);
    codec_u64(c, &vm->resets);
    codec_u8(c, &vm->on_crash);
    file_state(&vm->image.kernel, c);
    file_state(&vm->image.initrd, c);
    codec_bytes(c, vm->image.cmdline, sizeof(vm->image.cmdline));
    vm_history_state(vm, c);
    codec_judge(c, vm->on_crash < NR_CONFIG_CRASH, "on-crash has no such value");
    if (!codec_judge(c, memchr(vm->image.cmdline, '\0', sizeof(vm->image.cmdline)), "the command line has no end"))
        return;
    vm->incoming.paused = paused;
    image_locate(&vm->image, vm->identity.id);
}

void vm_state_scrollback(struct vm *vm, struct codec *c)
{
    spin_lock(&vm->device_lock);
    console_scrollback(&platform_of(vm)->console, c);
    spin_unlock(&vm->device_lock);
}

/* --- Sections: the devices in their order, the vcpus, the VM ------------------------------------------------- */

/* How many devices of the same name come before this one. */
static u32 instance_of(const struct vm *vm, const struct device *device)
{
    u32 instance = 0;

    list_each (const struct device, other, &vm->devices) {
        if (other == device)
            break;
        instance += !strcmp(other->ops->name, device->ops->name);
    }
    return instance;
}

static struct device *device_at(const struct vm *vm, unsigned index)
{
    list_each (struct device, device, &vm->devices)
        if (index-- == 0)
            return device;
    return NULL;
}

static unsigned device_count(const struct vm *vm)
{
    unsigned count = 0;

    list_each (const struct device, device, &vm->devices)
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

    list_each (const struct device, from, &vm->devices) {
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

void vm_state_section(void *ctx, unsigned index, struct wire_section *section, struct codec *c)
{
    struct vm *vm = ctx;
    struct wire_section here;
    struct device *device = section_name(vm, index, &here);

    if (!c->restoring)
        *section = here;
    if (!here.name[0] || strcmp(section->name, here.name) != 0 || section->instance != here.instance) {
        codec_refuse(c, -ENOENT, "expected %s %u", here.name[0] ? here.name : "no more", here.instance);
    } else if (device) {
        spin_lock(&vm->device_lock);
        device->ops->state(device, c);
        spin_unlock(&vm->device_lock);
    } else if (index + 1 == vm_section_count(vm)) {
        vm_state_own(vm, c);
    } else {
        vcpu_section(vm->vcpu[here.instance], c);
    }
}

static int section_rehearse(struct vm *vm, unsigned index, u8 *buf, char reason[WIRE_REASON])
{
    struct codec saved = codec_saver(buf, WIRE_BODY_MAX), restored;
    struct wire_section section;

    vm_state_section(vm, index, &section, &saved);
    restored = codec_restorer(buf, saved.at);
    if (!saved.err)
        vm_state_section(vm, index, &section, &restored);
    if (saved.err || restored.err || restored.at != restored.len) {
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

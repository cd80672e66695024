/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/pvclock.h"

#include <errno.h>
#include <stddef.h>

#include "dev/codec.h"
#include "host/rtc.h"
#include "dev/platform.h"
#include "host/bits.h"
#include "host/clock.h"
#include "hv/msr.h"
#include "hv/vm.h"
#include "mm/guest_missing.h"

#define VERSION 2 /* 2: with steal time and the date */

#define SYSTEM_TIME_ENABLE BIT(0)
#define SYSTEM_TIME_RESERVED BIT(1)

static struct pvclock *pvclock_of(const struct vcpu *vcpu)
{
    return &platform_of(vcpu->vm)->pvclock;
}

/*
 * The guest reads version, contents, version; the barriers keep our writes in that order for a reader on another CPU.
 * Memory that isn't RAM was refused when the guest named it, and what is missing was waited for.
 */
static void write_versioned(struct vm *vm, gpa_t gpa, u32 version, const void *body, u64 len)
{
    u32 odd = version - 1;

    guest_write(&vm->mem, gpa, &odd, sizeof(odd));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    guest_write(&vm->mem, gpa + sizeof(version), body, len);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    guest_write(&vm->mem, gpa, &version, sizeof(version));
}

/* `stopped`: PVCLOCK_GUEST_STOPPED or 0. */
static void update(struct vcpu *vcpu, u8 stopped)
{
    struct pvclock *pvclock = pvclock_of(vcpu);
    const struct timers *timers = &platform_of(vcpu->vm)->timers;
    u64 msr = pvclock->system_time[vcpu->id];

    if (!(msr & SYSTEM_TIME_ENABLE))
        return;
    struct time_scale scale = time_scale_make(guest_tsc_khz_here(&vcpu->vm->tsc));
    struct pvclock_time time = {
        .version = pvclock->version[vcpu->id] += 2,
        .tsc_timestamp = vcpu_tsc(vcpu, timers->tsc),
        .system_time = timers->ns,
        .tsc_to_system_mul = scale.mul,
        .tsc_shift = scale.shift,
        .flags = PVCLOCK_TSC_STABLE | stopped,
    };

    write_versioned(vcpu->vm, msr & ~SYSTEM_TIME_ENABLE, time.version, &time.pad0, sizeof(time) - sizeof(time.version));
}

/* Keep PVCLOCK_GUEST_STOPPED if the guest has not cleared it yet. */
void pvclock_update(struct vcpu *vcpu)
{
    gpa_t gpa = pvclock_of(vcpu)->system_time[vcpu->id] & ~SYSTEM_TIME_ENABLE;
    u8 flags = 0;

    guest_read(&vcpu->vm->mem, gpa + offsetof(struct pvclock_time, flags), &flags, sizeof(flags));
    update(vcpu, flags & PVCLOCK_GUEST_STOPPED);
}

void pvclock_stood(struct vcpu *vcpu)
{
    update(vcpu, PVCLOCK_GUEST_STOPPED);
}

/* The guest's write asks for the date once; it is not kept up to date, because wall time is VM time plus a constant. */
static int write_wall_clock(struct pvclock *pvclock, gpa_t gpa)
{
    struct pvclock_wall wall = {
        .sec = (u32)(pvclock->start / NS_PER_S),
        .nsec = (u32)(pvclock->start % NS_PER_S),
    };
    struct guest_mem *mem = &pvclock->vm->mem;
    u32 version;

    if (gpa & 3 || !guest_mem_valid(mem, gpa, sizeof(wall)))
        return -EINVAL;
    if (guest_mem_ask(mem, gpa, sizeof(wall)))
        return -EAGAIN;
    guest_read(mem, gpa, &version, sizeof(version));
    pvclock->wall_clock = gpa;
    write_versioned(pvclock->vm, gpa, (version | 1) + 1, &wall.sec, sizeof(wall) - sizeof(wall.version));
    return 0;
}

/* May the MSR have this value? If it is enabled, the structure must be in RAM. */
static bool system_time_valid(const struct guest_mem *mem, u64 value)
{
    return !(value & SYSTEM_TIME_RESERVED) &&
           (!(value & SYSTEM_TIME_ENABLE) ||
            guest_mem_valid(mem, value & ~SYSTEM_TIME_ENABLE, sizeof(struct pvclock_time)));
}

static int system_time_ask(struct guest_mem *mem, u64 value)
{
    bool enabled = value & SYSTEM_TIME_ENABLE;

    return enabled ? guest_mem_ask(mem, value & ~SYSTEM_TIME_ENABLE, sizeof(struct pvclock_time)) : 0;
}

static int write_system_time(struct vcpu *vcpu, u64 value)
{
    struct pvclock *pvclock = pvclock_of(vcpu);

    if (!system_time_valid(&vcpu->vm->mem, value))
        return -EINVAL;
    if (system_time_ask(&vcpu->vm->mem, value))
        return -EAGAIN;
    pvclock->system_time[vcpu->id] = value;
    update(vcpu, 0);
    return 0;
}

static struct steal_time *steal_of(const struct vcpu *vcpu)
{
    return &pvclock_of(vcpu)->steal[vcpu->id];
}

int pvclock_ask(struct vcpu *vcpu)
{
    struct guest_mem *mem = &vcpu->vm->mem;
    int clock = system_time_ask(mem, pvclock_of(vcpu)->system_time[vcpu->id]);

    return steal_time_ask(steal_of(vcpu), mem) ?: clock;
}

int pvclock_read_msr(struct vcpu *vcpu, u32 msr, u64 *value)
{
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_WALL_CLOCK_OLD: *value = pvclock_of(vcpu)->wall_clock; return 0;
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_SYSTEM_TIME_OLD: *value = pvclock_of(vcpu)->system_time[vcpu->id]; return 0;
    case MSR_KVM_STEAL_TIME: *value = steal_of(vcpu)->msr; return 0;
    default: return -ENOENT;
    }
}

int pvclock_write_msr(struct vcpu *vcpu, u32 msr, u64 value)
{
    switch (msr) {
    case MSR_KVM_WALL_CLOCK:
    case MSR_KVM_WALL_CLOCK_OLD: return write_wall_clock(pvclock_of(vcpu), value);
    case MSR_KVM_SYSTEM_TIME:
    case MSR_KVM_SYSTEM_TIME_OLD: return write_system_time(vcpu, value);
    case MSR_KVM_STEAL_TIME: return steal_time_write_msr(steal_of(vcpu), &vcpu->vm->mem, value);
    default: return -ENOENT;
    }
}

static u64 now_of(const struct vcpu *vcpu)
{
    return timers_now(&platform_of(vcpu->vm)->timers);
}

void pvclock_waits(struct vcpu *vcpu)
{
    steal_time_waits(steal_of(vcpu), now_of(vcpu));
}

void pvclock_goes_on(struct vcpu *vcpu)
{
    steal_time_goes_on(steal_of(vcpu), &vcpu->vm->mem, now_of(vcpu));
}

void pvclock_receive_init(struct vcpu *vcpu)
{
    pvclock_of(vcpu)->system_time[vcpu->id] = 0;
    *steal_of(vcpu) = (struct steal_time){ 0 };
}

/* --- As a device: the registers --- */

static void pvclock_io(struct device *device, unsigned region, struct io *io)
{
    (void)device;
    (void)region;
    (void)io;
}

static void pvclock_reset(struct device *device)
{
    struct pvclock *pvclock = (struct pvclock *)device;

    pvclock->wall_clock = 0;
    for (u32 i = 0; i < pvclock->vm->nr_vcpus; i++)
        pvclock_receive_init(pvclock->vm->vcpu[i]);
}

/* The structures in memory are written by pvclock_stood, when the vcpus' TSC offsets are known as well. */
static void pvclock_state(struct device *device, struct codec *c)
{
    struct pvclock *pvclock = (struct pvclock *)device;
    const struct guest_mem *mem = &pvclock->vm->mem;
    u64 now = timers_now(&platform_of(pvclock->vm)->timers);

    codec_version(c, VERSION);
    codec_u64(c, &pvclock->start);
    codec_u64(c, &pvclock->wall_clock);
    for (u32 i = 0; i < pvclock->vm->nr_vcpus; i++) {
        u64 msr = pvclock->system_time[i];

        codec_u64(c, &msr);
        codec_u32(c, &pvclock->version[i]);
        if (codec_judge(c, system_time_valid(mem, msr), "the MSR of the system time"))
            pvclock->system_time[i] = msr;
        steal_time_state(&pvclock->steal[i], mem, now, c);
    }
}

static const struct device_ops ops = {
    .name = "pvclock",
    .version = VERSION,
    .io = pvclock_io,
    .reset = pvclock_reset,
    .state = pvclock_state,
};

void pvclock_init(struct pvclock *pvclock, struct vm *vm)
{
    pvclock->device.ops = &ops;
    pvclock->vm = vm;
    pvclock->start = rtc_now_ns() - timers_now(&platform_of(vm)->timers);
    vm_add_device(vm, &pvclock->device);
}

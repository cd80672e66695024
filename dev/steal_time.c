/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/steal_time.h"

#include <errno.h>
#include <stddef.h>

#include "dev/codec.h"
#include "host/bits.h"
#include "mm/guest_missing.h"

#define STEAL_ENABLE BIT(0)
#define STEAL_RESERVED BITS(5, 1)

static bool msr_valid(const struct guest_mem *mem, u64 value)
{
    return !(value & STEAL_RESERVED) &&
           (!(value & STEAL_ENABLE) || guest_mem_valid(mem, value & ~STEAL_ENABLE, sizeof(struct kvm_steal_time)));
}

/* Only the guest's memory holds the sum, as with KVM. The barriers keep our writes in order for a reader on another
 * CPU. The structure is in RAM, and here: that was checked when the guest named it, and when a move brought it. */
static void add(const struct steal_time *steal, struct guest_mem *mem, u64 ns)
{
    gpa_t gpa = steal->msr & ~STEAL_ENABLE;
    struct kvm_steal_time told = { 0 };

    guest_read(mem, gpa, &told, sizeof(told));
    told.steal += ns;
    told.version |= 1;
    guest_write(mem, gpa + offsetof(struct kvm_steal_time, version), &told.version, sizeof(told.version));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    guest_write(mem, gpa, &told.steal, sizeof(told.steal));
    __atomic_thread_fence(__ATOMIC_RELEASE);
    told.version++;
    guest_write(mem, gpa + offsetof(struct kvm_steal_time, version), &told.version, sizeof(told.version));
}

int steal_time_ask(const struct steal_time *steal, struct guest_mem *mem)
{
    bool enabled = steal->msr & STEAL_ENABLE;

    return enabled ? guest_mem_ask(mem, steal->msr & ~STEAL_ENABLE, sizeof(struct kvm_steal_time)) : 0;
}

int steal_time_write_msr(struct steal_time *steal, struct guest_mem *mem, u64 value)
{
    struct steal_time next = { .msr = value };
    int err = msr_valid(mem, value) ? steal_time_ask(&next, mem) : -EINVAL;

    if (err)
        return err;
    steal->msr = value;
    if (value & STEAL_ENABLE)
        add(steal, mem, 0); /* whatever the version was, it is even afterwards */
    return 0;
}

void steal_time_waits(struct steal_time *steal, u64 now)
{
    if (!steal->since)
        steal->since = now;
}

void steal_time_goes_on(struct steal_time *steal, struct guest_mem *mem, u64 now)
{
    u64 since = steal->since;

    steal->since = 0;
    if (since && steal->msr & STEAL_ENABLE)
        add(steal, mem, now - since);
}

void steal_time_state(struct steal_time *steal, const struct guest_mem *mem, u64 now, struct codec *c)
{
    struct steal_time state = *steal;

    codec_u64(c, &state.msr);
    codec_u64(c, &state.since);
    if (!codec_judge(c, msr_valid(mem, state.msr), "the MSR of the steal time"))
        return;
    state.since = MIN(state.since, now);
    *steal = state;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtual machine: its memory, buses and virtual processors, and how it ended. */
#pragma once

#include <string.h>

#include "config/config.h"
#include "hv/bus.h"
#include "host/context.h"
#include "hv/cpuid.h"
#include "hv/guest_image.h"
#include "hv/guest_tsc.h"
#include "host/list.h"
#include "host/lock.h"
#include "hv/vcpu.h"
#include "mm/guest_mem.h"
#include "mm/npt.h"

enum vm_status {
    VM_CREATED,
    VM_RUNNING,
    VM_PASSED,   /* ended: its guest gave the verdict 0 */
    VM_FAILED,   /* ended: its guest gave another verdict */
    VM_CRASHED,  /* ended: its guest did what no machine survives; `reason` says what */
    VM_PAUSED,   /* like running, but no vcpu is entered; its clocks go on */
    VM_OFF,      /* powered off */
    VM_HALTED,   /* all vcpus have halted with interrupts off, for good */
    VM_INCOMING, /* arriving from another machine; we may not run it yet */
};

#define VM_ID CONFIG_UUID

/* The properties that stay with a VM wherever it runs. */
struct vm_identity {
    u8 id[VM_ID];              /* never changes */
    u64 epoch;                 /* grows whenever the machine that owns the VM may change (docs/claims.md) */
    struct cpuid_policy cpuid; /* the processor that its guest is shown */
};

struct vm {
    char name[CONFIG_NAME];
    u32 id; /* in this machine, from 1; its vcpus' VPIDs (VT-x) and its turn when throttled come from it, too */
    struct vm_identity identity; /* only the host loop changes the epoch */
    u8 mac[CONFIG_MAC];          /* of its network card, as configured; all zero: not configured */
    struct list node;            /* in the list of all VMs; host loop */

    struct spinlock device_lock; /* guards the devices of the buses */
    struct spinlock lock;        /* guards status and reason; a device may end its VM, so this is the inner one */
    enum vm_status status;
    char reason[120]; /* why it ended, in words; "" while it runs */

    struct npt npt;
    u64 memory; /* bytes of RAM that the VM has when it runs */
    struct guest_mem mem;
    u64 behind; /* clock_ns since when the platform has to tell the guest that it stood, into missing pages; 0: it has
                   not. The host loop writes it */
    struct page_waits page_waits; /* hv/page_wait.h; `lock` guards it */
    bool buried;                  /* the VM does not run, and has no RAM until it is powered on; host loop */
    struct bus pio, mmio;

    struct dirty_rate *dirty_rate; /* its last measurement, dirty/dirty_rate.c; NULL: none */
    struct vm_history *history;    /* where it has been, stream/vm_history.c; NULL: nowhere else */
    u32 msrs_refused;              /* accesses to MSRs since the last start, up to what the log shows; any CPU */
    u32 throttle;                  /* percent of the time in which no vcpu is entered; vm_throttle */
    u64 write_limit;               /* new pages a second that its vcpus may write to; 0: any; vm_throttle */
    u64 write_price;               /* ticks that each of them costs a vcpu, by its part of the limit; 0: none */
    u32 holds;                     /* calls of vm_hold not yet released; no vcpu is entered unless 0 */
    struct {
        unsigned sections;  /* sections of its state that were restored */
        bool paused, clone; /* it was paused at its source; it keeps the MAC that it was made with */
        bool asked;         /* it did not come from its owner: others are asked who has it */
    } incoming;             /* VM_INCOMING */
    bool arrived;           /* the VM came from another machine */

    struct platform *platform; /* the chips of this VM, dev/platform.c */
    struct list devices;       /* all its devices, in the order of save, restore and reset (vm_add_device) */

    union {
        struct {
            bool reset_wanted; /* any CPU sets this; the host loop resets the VM. A start is a reset, too */
            bool asleep;       /* its guest sleeps in ACPI's state S3 (dev/acpi_sleep.h); any CPU */
        };
        u16 reset_or_asleep; /* both, for who asks at each exit */
    };
    bool starting;            /* the reset that is wanted is a start by guest_power_on; host loop */
    struct guest_image image; /* set by guest/load/create.c, or by the VM's source */
    u64 resets;
    u8 on_crash; /* enum config_crash */
    struct {
        u64 since;  /* clock_ns of the first fault that counts */
        u32 resets; /* resets since then */
    } faults;       /* triple faults; `lock` guards it */

    u32 nr_vcpus;
    struct vcpu *vcpu[CONFIG_MAX_VCPUS];

    u64 elsewhere;                    /* epoch under which another machine owns it; 0: we know of none */
    u64 created_tsc, first_entry_tsc; /* host TSC; 0: not yet */
    bool first_entry_logged;
    struct guest_tsc tsc;
};

/*
 * Create a VM with RAM and vcpus, and let the registered hook attach its devices (attach of dev/platform.c). With
 * identity NULL the VM is new; else the VM comes from another machine and is VM_INCOMING. Returns NULL with the reason
 * logged. Host loop.
 */
struct vm *vm_create(const struct config_vm *config, const struct vm_identity *identity);

/* Fill *tsc for a guest that relies on a TSC of `khz`, as well as this machine can provide it. For vm->tsc, and only
 * before a vcpu of the VM has run here: the caller sets each vcpu's tsc_offset afterwards. */
void vm_tsc_here(struct guest_tsc *tsc, u64 khz);

/* Destroy a VM that doesn't run: nobody finds it any more. vm_reap gives its RAM back. Host loop. */
void vm_destroy(struct vm *vm);

/* Host work: free the RAM of destroyed and buried VMs, one slice in each round. */
u64 vm_reap(void);

/* Free all that RAM at once, for a caller that needs the memory now. Host loop. */
void vm_reap_all(void);

/* The guest has come whole: let its vcpus run; but if the VM was paused at its source, it becomes VM_PAUSED. Host
 * loop. */
void vm_arrive(struct vm *vm);

/* Put devices and vcpus into the state after power-on. The vcpus are in no CPU's queue then. Host loop. */
void vm_reset_parts(struct vm *vm);

/* Give back the RAM of a VM that does not run, for good or until guest_power_on. The rest of the VM can still be
 * queried, but nobody may look at its memory any more. Host loop. */
void vm_bury(struct vm *vm);

/* End the VM: its status becomes `status` and its reason the formatted text; none of its vcpus is entered again. If the
 * VM has ended before, the first end counts. Any CPU. */
void vm_stop(struct vm *vm, enum vm_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Pause: on return no vcpu of the VM runs. Resume: its vcpus run again. Power off: the VM ends as VM_OFF; on return
 * none of its vcpus runs. Return 0, or -EINVAL if the VM's status does not allow this. Host loop.
 */
int vm_pause(struct vm *vm);
int vm_resume(struct vm *vm);
int vm_poweroff(struct vm *vm);

/* End the VM as VM_CRASHED, with a decoded dump of the vcpu in the log: control structure, registers, last exits. On
 * the vcpu's CPU, with the vcpu resident. */
void vm_crash(struct vcpu *vcpu, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The vcpu has had a triple fault. As on a PC, the VM is reset, with a dump in the log. But if the VM is configured
 * otherwise (on_crash), or if this is its fourth triple fault within a minute, it ends as by vm_crash. On the vcpu's
 * CPU, with the vcpu resident.
 */
void vm_triple_fault(struct vcpu *vcpu, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A vcpu of the VM is about to be entered for the first time: store the time, which the host loop logs. */
void vm_first_entry(struct vm *vm);

/* The name of a status: "running", "passed" ... */
const char *vm_status_name(enum vm_status status);

/* All VMs, in order of creation. */
struct list *vm_list(void);

/* The value of the guest's TSC when the host's TSC is `host`. Any CPU. */
static inline u64 vcpu_tsc(const struct vcpu *vcpu, u64 host)
{
    return guest_tsc_scale(&vcpu->vm->tsc, host) + vcpu->tsc_offset;
}

/* How many exits of this kind its vcpus have had. Any CPU. */
static inline u64 vm_exits(const struct vm *vm, enum exit_kind kind)
{
    u64 sum = 0;

    for (u32 i = 0; i < vm->nr_vcpus; i++)
        sum += vm->vcpu[i]->exits[kind];
    return sum;
}

/* Is the VM's status "running"? Any CPU. */
static inline bool vm_running(const struct vm *vm)
{
    return __atomic_load_n(&vm->status, __ATOMIC_ACQUIRE) == VM_RUNNING;
}

/* May its vcpus be entered? Yes if the VM is running, awake, not held, and not about to be reset. Any CPU. */
static inline bool vm_runnable(const struct vm *vm)
{
    return vm_running(vm) && __atomic_load_n(&vm->holds, __ATOMIC_ACQUIRE) == 0 &&
           !__atomic_load_n(&vm->reset_or_asleep, __ATOMIC_ACQUIRE) && !__atomic_load_n(&vm->behind, __ATOMIC_ACQUIRE);
}

/* Does this VM run, or can it run without being started anew? Any CPU. */
static inline bool vm_alive(const struct vm *vm)
{
    enum vm_status status = __atomic_load_n(&vm->status, __ATOMIC_ACQUIRE);

    return status == VM_CREATED || status == VM_RUNNING || status == VM_PAUSED;
}

/* Has this VM ended, so that it runs again only if it is started anew? Any CPU. */
static inline bool vm_ended(const struct vm *vm)
{
    return !vm_alive(vm) && __atomic_load_n(&vm->status, __ATOMIC_ACQUIRE) != VM_INCOMING;
}

/* The VM of that name; NULL: there is none. A VM that has not ended comes before ended ones of that name. Host loop. */
static inline struct vm *vm_find(const char *name)
{
    struct vm *ended = NULL;

    assert_host_loop();
    list_each (struct vm, vm, vm_list()) {
        if (!strcmp(vm->name, name) && !vm_ended(vm))
            return vm;
        if (!strcmp(vm->name, name))
            ended = vm;
    }
    return ended;
}

/*
 * Hold the VM for a moment, for the hypervisor's own purposes and whatever the VM's status: on return none of its vcpus
 * runs or handles an exit. Waits for the other CPUs to take a kick. Calls may be nested. Host loop.
 */
void vm_hold(struct vm *vm);
void vm_release(struct vm *vm);

/* A page has come to a VM that is behind: if the platform can tell the guest now that it stood, the VM goes on. Host
 * loop. */
void vm_catch_up(struct vm *vm);

/* Enter the VM's vcpus only for 100 - percent of the time (percent is 0 to 99): for a millisecond all of them may run,
 * then none until the period is over (hv/throttle.h). And let them write to so many new pages a second, each vcpu to
 * its part of them (0: any number): pages that a dirty log by write protection does not know of. Who writes to more
 * waits, who reads does not. Host loop. */
void vm_throttle(struct vm *vm, u32 percent, u64 write_limit);

/* Like vm_hold and vm_release, but the vcpus also leave their CPUs: the registers that a CPU keeps between two entries
 * are back in memory. So all state of the vcpus can be read and written. Host loop. */
void vm_freeze(struct vm *vm);
void vm_thaw(struct vm *vm);

/* Does the vcpu run, or handle an exit, on its CPU? If not, then when it next starts it sees all that the caller wrote
 * before this call. Any CPU. */
bool vm_vcpu_busy(const struct vcpu *vcpu);

/* Ask for a machine reset: no vcpu of the VM is entered again before the host loop has reset the VM. Any CPU. */
void vm_reset_request(struct vm *vm);

/* Add a device to vm->devices. Called while the platform is being attached. */
void vm_add_device(struct vm *vm, struct device *device);

/*
 * What dev does for a VM, beside the interrupt source of each vcpu. attach returns 0 or -errno, and chooses a MAC for a
 * VM that was given none. stood: the VM has stood and is about to go on: tell the guest, or set vm->behind. Host loop.
 *
 * On the vcpu's CPU. waits: the vcpu could run now but waits for its turn (this may be called repeatedly). goes_on: the
 * vcpu is about to be entered; this may write guest memory. MSRs that dev adds (the paravirtual clock) are read and
 * written as by msr_read and msr_write, or -ENOENT is returned: it is not dev's. tsc_changed: the guest has written its
 * time-stamp counter, so vcpu->tsc_offset is new.
 */
struct vm_platform_ops {
    int (*attach)(struct vm *vm);
    void (*detach)(struct vm *vm);
    void (*stood)(struct vm *vm);
    void (*waits)(struct vcpu *vcpu);
    void (*goes_on)(struct vcpu *vcpu);
    int (*read_msr)(struct vcpu *vcpu, u32 msr, u64 *value);
    int (*write_msr)(struct vcpu *vcpu, u32 msr, u64 value);
    void (*tsc_changed)(struct vcpu *vcpu);
};

/* Set at boot, before the first VM is made. */
extern const struct vm_platform_ops *vm_platform;

/* SPDX-License-Identifier: BSD-2-Clause */
/* A virtual machine: memory, buses, virtual processors, and how it ended. */
#pragma once

#include <string.h>

#include "config/config.h"
#include "hv/bus.h"
#include "host/context.h"
#include "hv/cpuid.h"
#include "hv/guest_image.h"
#include "hv/dirty_rate.h"
#include "hv/guest_tsc.h"
#include "host/list.h"
#include "host/lock.h"
#include "hv/vcpu.h"
#include "mm/guest_mem.h"
#include "mm/npt.h"

enum vm_status {
    VM_CREATED,
    VM_RUNNING,
    VM_PASSED,   /* ended by its own verdict 0 */
    VM_FAILED,   /* ended by its own verdict, not 0 */
    VM_CRASHED,  /* did what no machine survives; reason says what */
    VM_PAUSED,   /* as running, but no vcpu is entered; its clocks go on */
    VM_OFF,      /* powered off */
    VM_HALTED,   /* it has halted with interrupts off, for good */
    VM_INCOMING, /* on its way from another machine; not ours to run yet */
};

#define VM_ID CONFIG_UUID

/* What stays with a VM wherever it runs. */
struct vm_identity {
    u8 id[VM_ID];              /* for life */
    u64 epoch;                 /* of its owner: grows whenever that may change (docs/migration-stream.md) */
    struct cpuid_policy cpuid; /* what its guest is shown */
};

struct vm {
    char name[CONFIG_NAME];
    u32 id;                      /* in this machine */
    struct vm_identity identity; /* epoch: host loop */
    u8 mac[CONFIG_MAC];          /* of its network card, as configured; all zero: none was */
    struct list node;            /* of all VMs; host loop */

    struct spinlock device_lock; /* guards the devices of the buses */
    struct spinlock lock;        /* guards status and reason; a device may end its VM, so this is the inner one */
    enum vm_status status;
    char reason[120]; /* why it ended, in words; "" while it runs */

    struct npt npt;
    u64 memory; /* bytes of RAM that it has when it runs */
    struct guest_mem mem;
    bool buried; /* it does not run, and has no RAM until it is powered on; host loop */
    struct bus pio, mmio;
    u32 asid; /* tag of its translations: VPID, or ASID; from 1 */

    struct dirty_rate dirty_rate;
    u32 throttle; /* percent of the time in which no vcpu is entered; vm_throttle */
    u32 holds;    /* vm_hold without vm_release; while not 0 no vcpu is entered */
    struct {
        unsigned sections; /* of its state that were loaded */
        bool paused;       /* it was paused where it came from */
    } incoming;            /* VM_INCOMING */
    bool arrived;          /* it came from another machine */

    struct platform *platform; /* the chips of this VM, dev/platform.c */
    struct list devices;       /* all of them, in the order in which they are saved, loaded and reset (vm_add_device) */

    bool reset_wanted;        /* any CPU sets it; the host loop resets. Who is started is reset, too */
    bool resetting;           /* its vcpus and devices are reset, its memory is being cleared; host loop */
    u64 cleared;              /* pages of it that are */
    struct guest_image image; /* set by who loaded it, or by where it comes from */
    u64 resets;
    u8 on_crash; /* enum config_crash */
    struct {
        u64 since;  /* clock_ns of the first that counts */
        u32 resets; /* since then */
    } faults;       /* triple faults; `lock` guards it */

    u32 nr_vcpus;
    struct vcpu *vcpu[CONFIG_MAX_VCPUS];

    u64 elsewhere;                    /* the epoch under which another machine has it; 0: none that we know of */
    u64 created_tsc, first_entry_tsc; /* host TSC; 0: not yet */
    struct guest_tsc tsc;
};

/* Create a VM with RAM and vcpus, devices attached (platform_attach of dev by the registered hook). A new one, with
 * identity NULL; or one that comes from elsewhere, as VM_INCOMING. Returns NULL with the reason logged. Host loop. */
struct vm *vm_create(const struct config_vm *config, const struct vm_identity *identity);

/* The TSC of a guest that counts on `khz`, as this machine can give it. For vm->tsc as long as no vcpu of the VM has
 * run here: their tsc_offset follows. */
void vm_tsc_here(struct guest_tsc *tsc, u64 khz);

/* It is no more, for whoever asks: not running. Its RAM is given back by vm_reap. Host loop. */
void vm_destroy(struct vm *vm);

/* Host work: free the RAM of VMs that are no more, a slice a round. */
u64 vm_reap(void);

/* The same at once, for all: for who needs the memory now. Host loop. */
void vm_reap_all(void);

/* Let its vcpus run; or not yet, if it comes from where it was paused. */
void vm_start(struct vm *vm);

/* Is its MAC, or its identity, that of another which is here and has not ended? 0: no; -EBUSY with the reason in words.
 * Host loop. */
int vm_check_unique(const struct vm *vm, char *reason, size_t room);

/*
 * Start a new VM, or one that has ended, from its image: RAM anew, devices and vcpus as after power-on. Returns 0: it
 * counts as running, and its vcpus are entered when vm_resets has cleared its RAM and loaded it. Or with the reason in
 * words (of `room` bytes), and nothing changed, -ENOENT: its image is not here; -EBUSY: another has its MAC; -ENOMEM;
 * -EINVAL: the image is refused. Host loop.
 */
int vm_power_on(struct vm *vm, char *reason, size_t room);

/* Give back the RAM of one that does not run, for good or until vm_power_on; what can be asked about it stays. Nobody
 * looks at its memory any more. Host loop. */
void vm_bury(struct vm *vm);

/* End it: status becomes `status` and the reason is the formatted text; no vcpu of it is entered again. The first end
 * counts. Any CPU. */
void vm_stop(struct vm *vm, enum vm_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Pause: on return no vcpu of it runs. Resume: go on. Power off: it ends as VM_OFF; on return no vcpu of it runs.
 * 0, or -EINVAL: its status does not allow it. Host loop.
 */
int vm_pause(struct vm *vm);
int vm_resume(struct vm *vm);
int vm_poweroff(struct vm *vm);

/* End it as VM_CRASHED with a decoded dump of the vcpu in the log: control structure, registers, last exits. On the
 * vcpu's CPU, loaded. */
void vm_crash(struct vcpu *vcpu, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The vcpu has come to a triple fault. As on a PC that is a reset, with a dump in the log; but who was configured
 * otherwise, or comes back to it a fourth time within a minute, ends as by vm_crash. On the vcpu's CPU, loaded.
 */
void vm_triple_fault(struct vcpu *vcpu, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A vcpu of it is about to be entered for the first time: note and log when. */
void vm_first_entry(struct vm *vm);

/* "running", "passed" ... */
const char *vm_status_name(enum vm_status status);

/* All VMs, in order of creation. */
struct list *vm_list(void);

/* What the guest's TSC is when the host's is `host`. Any CPU. */
static inline u64 vcpu_tsc(const struct vcpu *vcpu, u64 host)
{
    return guest_tsc_scale(&vcpu->vm->tsc, host) + vcpu->tsc_offset;
}

/* Is it entitled to run? Any CPU. */
static inline bool vm_running(const struct vm *vm)
{
    return __atomic_load_n(&vm->status, __ATOMIC_ACQUIRE) == VM_RUNNING;
}

/* May its vcpus be entered: as vm_running, not held, and not about to be reset? Any CPU. */
static inline bool vm_runnable(const struct vm *vm)
{
    return vm_running(vm) && __atomic_load_n(&vm->holds, __ATOMIC_ACQUIRE) == 0 &&
           !__atomic_load_n(&vm->reset_wanted, __ATOMIC_ACQUIRE);
}

/* Has it a future: running, or able to run again without being made anew? Any CPU. */
static inline bool vm_alive(const struct vm *vm)
{
    enum vm_status status = __atomic_load_n(&vm->status, __ATOMIC_ACQUIRE);

    return status == VM_CREATED || status == VM_RUNNING || status == VM_PAUSED;
}

/* Has it had a future, and has none any more, unless it is started anew? Any CPU. */
static inline bool vm_ended(const struct vm *vm)
{
    return !vm_alive(vm) && __atomic_load_n(&vm->status, __ATOMIC_ACQUIRE) != VM_INCOMING;
}

/* The one of that name, for an ended one's may be another's by now; NULL: there is none. Host loop. */
static inline struct vm *vm_find(const char *name)
{
    struct vm *ended = NULL;

    assert_host_loop();
    list_for_each (node, vm_list()) {
        struct vm *vm = container_of(node, struct vm, node);

        if (!strcmp(vm->name, name) && !vm_ended(vm))
            return vm;
        if (!strcmp(vm->name, name))
            ended = vm;
    }
    return ended;
}

/*
 * Its console. read: copy out at most `room` bytes of what the guest has sent from byte number *from (0: its first) on;
 * what is no longer kept is skipped. Moves *from behind what was copied and returns how much that was. write: type;
 * returns how many bytes there was room for, none while it is held. Both take device_lock. Any CPU.
 */
size_t vm_console_read(struct vm *vm, u64 *from, char *buffer, size_t room);
size_t vm_console_write(struct vm *vm, const char *bytes, size_t len);

/*
 * Hold it for a moment, for the hypervisor's own ends, whatever its status: on return no vcpu of it runs, nor handles
 * an exit. Waits for the other CPUs to take a kick. May be nested. Host loop.
 */
void vm_hold(struct vm *vm);
void vm_release(struct vm *vm);

/* Enter its vcpus for 100 - percent of the time only, percent being 0 to 99: all of them a millisecond long, then none
 * until the period is over. Host loop. */
void vm_throttle(struct vm *vm, u32 percent);

/* As vm_hold and vm_release, but its vcpus leave their CPUs too, so that all of their state can be read or written:
 * registers that a CPU keeps between two entries are back in memory. */
void vm_freeze(struct vm *vm);
void vm_thaw(struct vm *vm);

/* Does the vcpu run, or handle an exit, on its CPU? What the caller wrote before is seen by a vcpu that starts later.
 * Any CPU. */
bool vm_vcpu_busy(const struct vcpu *vcpu);

/* Log one line for each VM: status, reason, exits by reason. Host loop. */
void vm_report(const struct vm *vm);

/* Ask for a machine reset: no vcpu of it is entered again before the host loop has done it. Any CPU. */
void vm_reset_request(struct vm *vm);

/* Host work: reset the VMs that ask for it, and those that start: devices, vcpus, memory and image. What is paused
 * stays so. The memory is cleared a slice a round, one VM after the other. ~0: none is left. */
u64 vm_resets(void);

/* Enter a device into vm->devices. While the platform is attached. */
void vm_add_device(struct vm *vm, struct device *device);

/* What dev hangs on a new VM; registered once at boot by the composition root. attach returns 0 or -errno; for a VM
 * that was given no MAC it chooses one. mac_owner: who else here has its MAC, by name; NULL: nobody. Host loop. */
struct vm_platform_ops {
    int (*attach)(struct vm *vm);
    void (*detach)(struct vm *vm);
    void (*stood)(struct vm *vm); /* it was paused, and goes on */
    const char *(*mac_owner)(const struct vm *vm);
    /* Contract: vm_console_read, vm_console_write. */
    size_t (*console_read)(struct vm *vm, u64 *from, char *buffer, size_t room);
    size_t (*console_write)(struct vm *vm, const char *bytes, size_t len);
};

/* Once, before the first VM is made. Boot processor. */
void vm_set_platform(const struct vm_platform_ops *ops);
void vm_set_loader(const struct guest_loader *ops);

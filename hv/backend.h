/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vendor seam: a run-time table of coarse operations, one table for VT-x (hv/vmx) and one for AMD-V (hv/svm).
 * Nothing outside these two folders asks which vendor it is. All ops are non-NULL.
 *
 * The division of labour in run(): the caller has decided which event to inject (vcpu->event) and how long the guest
 * may run (vcpu->run_until). The backend writes the vcpu's rip, rflags, rsp, cr2, shadow and event to the hardware,
 * flushes translations if vm->npt.generation has moved, and enters the guest. On exit it reads these registers back,
 * puts an event whose delivery was interrupted back into vcpu->event (else event.valid = false), and decodes
 * vcpu->exit. `exit.len` is always right for an exit that an instruction caused: if the CPU saves no next RIP, the
 * backend fetches and decodes the instruction.
 */
#pragma once

#include "hv/vcpu_state.h"
#include "mm/npt.h"

struct vcpu;
struct vm;

struct backend {
    const char *name;

    /* Does this CPU have the extension, and does the firmware let us use it? If not, logs why. Boot processor. */
    bool (*present)(void);

    /* Read the capabilities and build the bitmaps that all vcpus share. Once, on the boot processor, before cpu_on.
     * Returns 0, or -errno with a log line. */
    int (*init)(void);

    /* Turn virtualization on or off on this CPU. */
    int (*cpu_on)(void);
    void (*cpu_off)(void);

    /* The nested page-table format, with the features that this CPU has. After init. */
    const struct npt_format *(*npt_format)(void);

    /* Allocate and free the hardware control structure of a vcpu; set() then fills its state. Returns 0 or -ENOMEM. */
    int (*vcpu_init)(struct vcpu *vcpu);
    void (*vcpu_fini)(struct vcpu *vcpu);

    /*
     * Restore this vcpu's vendor-specific guest-owned registers on this CPU (VMPTRLD, syscall MSRs), and save them to
     * memory. restore returns false, like resident_set, if the processor did not take a value; none is restored then.
     */
    bool (*restore)(struct vcpu *vcpu);
    void (*save)(struct vcpu *vcpu);

    /* Enter the guest once. Interrupts off; the vcpu is resident. */
    void (*run)(struct vcpu *vcpu);

    /* Read or replace the named groups (enum state_group). On the vcpu's CPU while the vcpu is resident there; or on
     * any CPU while the vcpu is not resident anywhere. */
    void (*get)(struct vcpu *vcpu, struct vcpu_state *state, unsigned groups);
    void (*set)(struct vcpu *vcpu, const struct vcpu_state *state, unsigned groups);

    /*
     * Turn PML on or off for the VM, from the next entry of each vcpu on. While it is on, the processor logs a page
     * when a vcpu is the first to write to the page since its D bit was cleared, and at each exit the backend passes
     * the logged pages to dirty_pml_drain. No vcpu of the VM runs. Returns 0, -ENOMEM or -ENOTSUP.
     */
    int (*dirty_log)(struct vm *vm, bool on);

    /* Can the CPU run a guest's TSC at another rate than the host's (vm->tsc)? After init. */
    bool (*scales_tsc)(void);

    /* Log the control structure, decoded. The vcpu is resident on this CPU, or nowhere. */
    void (*dump)(struct vcpu *vcpu);
};

/* The table in use; set once by backend_init. */
extern const struct backend *backend_in_use;

static inline const struct backend *backend(void)
{
    return backend_in_use;
}

/* Choose the backend, initialise it and turn it on. Boot processor. Returns 0, or -ENODEV with the reasons logged. */
int backend_init(void);

/* On each further CPU: give it the backend's page and turn virtualization on. Panics if the CPU differs from the first.
 */
void backend_cpu_on(void);

/* The two tables. */
const struct backend *vmx_backend(void);
const struct backend *svm_backend(void);

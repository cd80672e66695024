/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vendor seam: a run-time table of coarse operations, one table for VT-x (hv/vmx) and one for AMD-V (hv/svm).
 * Nothing outside these two folders asks which vendor it is. All ops are non-NULL.
 *
 * The division of labour in run(): the caller has decided what to inject (vcpu->event) and until when
 * (vcpu->run_until); the backend writes vcpu's rip, rflags, rsp, cr2, shadow and event to the hardware, flushes
 * translations if vm->npt.generation has moved, enters, and on exit reads these back, puts an event whose delivery was
 * interrupted back into vcpu->event (else event.valid = false), and decodes vcpu->exit. `exit.len` is always right for
 * an exit that an instruction caused: where the CPU saves no next RIP the backend fetches and decodes.
 */
#pragma once

#include "hv/vcpu_state.h"
#include "mm/npt.h"

struct vcpu;
struct vm;

struct backend {
    const char *name;

    /* Does this CPU have it, and does the firmware leave it to us? Logs why not. Boot processor. */
    bool (*present)(void);

    /* Once, on the boot processor, before cpu_on: read capabilities, build what all vcpus share (bitmaps). Returns 0 or
     * -errno with a log line. */
    int (*init)(void);

    /* On each CPU: turn virtualization on or off. */
    int (*cpu_on)(void);
    void (*cpu_off)(void);

    /* The nested page-table format with what this CPU can do. After init. */
    const struct npt_format *(*npt_format)(void);

    /* Allocate and free the hardware control structure of a vcpu; state follows by set(). Returns 0 or -ENOMEM. */
    int (*vcpu_init)(struct vcpu *vcpu);
    void (*vcpu_fini)(struct vcpu *vcpu);

    /* Make this vcpu the one whose vendor-specific guest-owned registers are in this CPU (VMPTRLD, syscall MSRs), and
     * the reverse. load: false if the processor did not take it, as vcpu_load; nothing is loaded then. */
    bool (*load)(struct vcpu *vcpu);
    void (*put)(struct vcpu *vcpu);

    /* Enter the guest once. Interrupts off; the vcpu is loaded. */
    void (*run)(struct vcpu *vcpu);

    /* Read or replace the named groups (enum state_group). On the vcpu's CPU, loaded; or on any CPU while it is not
     * loaded anywhere. */
    void (*get)(struct vcpu *vcpu, struct vcpu_state *state, unsigned groups);
    void (*set)(struct vcpu *vcpu, const struct vcpu_state *state, unsigned groups);

    /*
     * From its next entry on, let the processor log each page that a vcpu of the VM is the first to write since its D
     * bit was cleared (PML), and bring what was logged to dirty_pml_drain of vm->mem at each exit; or no longer. No
     * vcpu of it runs. Returns 0, -ENOMEM, -ENOTSUP.
     */
    int (*dirty_log)(struct vm *vm, bool on);

    /* Can it run a guest's TSC at another rate than the host's (vm->tsc)? After init. */
    bool (*scales_tsc)(void);

    /* Log the control structure, decoded. Loaded on this CPU, or nowhere. */
    void (*dump)(struct vcpu *vcpu);
};

/* The table in use; set once by backend_init. */
extern const struct backend *backend_in_use;

static inline const struct backend *backend(void)
{
    return backend_in_use;
}

/* Choose the backend, initialise it and turn it on on the boot processor. Returns 0, or -ENODEV with the reasons
 * logged. */
int backend_init(void);

/* On each further CPU: give it the backend's page and turn virtualization on. Panics if the CPU differs from the first.
 */
void backend_cpu_on(void);

/* The two tables. */
const struct backend *vmx_backend(void);
const struct backend *svm_backend(void);

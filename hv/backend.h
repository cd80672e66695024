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

    /* Read the capabilities, fill backend_features and build what all vcpus share. Once, on the boot
     * processor, before cpu_on. Returns 0; -ENODEV if this CPU lacks the extension or a part of it that we need, or the
     * firmware does not let us use it; or -ENOMEM. Logs why. */
    int (*init)(void);

    /* Turn virtualization on on this CPU. Returns 0 or -errno. */
    int (*cpu_on)(void);

    size_t vcpu_size; /* of vcpu->backend */

    /* Prepare the hardware control structure of a vcpu in vcpu->backend_page; set() then fills its state. That page and
     * vcpu->backend are zero. fini frees what the backend has allocated since; the two belong to the caller. */
    void (*vcpu_init)(struct vcpu *vcpu);
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

    /* Log the control structure, decoded. The vcpu is resident on this CPU, or nowhere. */
    void (*dump)(struct vcpu *vcpu);
};

/* What the backend in use can do on this machine; its init fills this. */
extern struct backend_features {
    struct npt_format npt_format; /* the nested page-table format, with the features that the CPUs have */
    bool scales_tsc;              /* a guest's TSC may run at another rate than the host's (vm->tsc) */
} backend_features;

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
extern const struct backend vmx_backend, svm_backend;

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-modification logging (SDM 3C "Page-Modification Logging"): the processor notes the page of each write that sets
 * a D bit in a buffer of 512 entries, from the last to the first, and exits when a page is to be noted and all are
 * used.
 *
 * The buffer is emptied at every exit, full or not. So outside of vmx_run it is empty, and a harvest needs nothing but
 * that the vcpu has left its guest once.
 */
#include "hv/vmx/vmx.h"

#include <errno.h>

#include "hv/vm.h"
#include "host/frame.h"

#define PML_LAST 511

static int buffers_make(struct vm *vm)
{
    for (u32 i = 0; i < vm->nr_vcpus; i++) {
        struct vmx_vcpu *vmx = vmx_vcpu(vm->vcpu[i]);

        vmx->pml = vmx->pml ?: frame_alloc_page();
        if (!vmx->pml)
            return -ENOMEM;
    }
    return 0;
}

/* The VMCS may be active on another CPU: its next entry there makes the change. */
int vmx_dirty_log(struct vm *vm, bool on)
{
    int rc = on ? buffers_make(vm) : 0;

    if (on && (!(vmx_shared.caps.secondary >> 32 & SECONDARY_PML) || !backend_features.npt_format.dirty))
        return -ENOTSUP;
    for (u32 i = 0; i < vm->nr_vcpus && rc == 0; i++) {
        vmx_vcpu(vm->vcpu[i])->pml_wanted = on;
        vmx_vcpu(vm->vcpu[i])->unsettled = true;
    }
    return rc;
}

void vmx_pml_switch(struct vmx_vcpu *vmx)
{
    u32 controls = vmread(SECONDARY_CONTROLS) & ~(u32)SECONDARY_PML;

    vmx->pml_on = vmx->pml_wanted;
    if (vmx->pml_on) {
        vmwrite(PML_ADDRESS, frame_address(vmx->pml));
        vmwrite(GUEST_PML_INDEX, PML_LAST);
        controls |= SECONDARY_PML;
    }
    vmwrite(SECONDARY_CONTROLS, controls);
}

/* The index is that of the next entry to be used; below 0 it wraps to FFFFh. */
void vmx_pml_drain(struct vcpu *vcpu)
{
    const u64 *pml = vmx_vcpu(vcpu)->pml;
    u16 first = vmread(GUEST_PML_INDEX) + 1;

    if (first > PML_LAST)
        return;
    dirty_pml_drain(&vcpu->vm->mem, &pml[first], PML_LAST + 1 - first);
    vmwrite(GUEST_PML_INDEX, PML_LAST);
}

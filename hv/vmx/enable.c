/* SPDX-License-Identifier: BSD-2-Clause */
/* Turning VT-x on and off, and the table of the backend (SDM 3C "Enabling and Entering VMX Operation"). */
#define LOG_PREFIX "vmx"
#include "hv/vmx/vmx.h"

#include <errno.h>
#include <string.h>

#include "host/asm.h"
#include "host/cpu.h"
#include "host/msr_index.h"
#include "host/log.h"
#include "host/panic.h"
#include "host/frame.h"

#define CPUID_1_ECX_VMX BIT(5)

void vmx_instruction_failed(const char *instruction, u64 operand)
{
    u64 error = 0;

    vmread_try(VM_INSTRUCTION_ERROR, &error);
    panic("%s of %#lx failed (last instruction error %lu)", instruction, operand, error);
}

/*
 * Feature control is locked until reset once a firmware has decided. Unlocked, the decision is ours, on each processor
 * (SDM 3C "Enabling and Entering VMX Operation").
 */
static bool firmware_allows(void)
{
    u64 control = rdmsr(MSR_FEATURE_CONTROL);

    return !(control & FEATURE_CONTROL_LOCK) || (control & FEATURE_CONTROL_VMX_OUTSIDE_SMX);
}

static bool present(void)
{
    if (!(cpuid(1, 0).ecx & CPUID_1_ECX_VMX)) {
        pr_info("no VT-x: CPUID doesn't show it");
        return false;
    }
    if (!firmware_allows()) {
        pr_warn("no VT-x: the firmware has disabled it and locked the decision (IA32_FEATURE_CONTROL)");
        return false;
    }
    return true;
}

static void feature_control_set(void)
{
    u64 control = rdmsr(MSR_FEATURE_CONTROL);

    if (!(control & FEATURE_CONTROL_LOCK))
        wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX);
}

static int cpu_on(void)
{
    const struct vmx_caps *first = &vmx_shared.caps;
    struct cpu *cpu = this_cpu();
    struct vmx_caps caps;

    if (!present())
        return -ENODEV;
    vmx_caps_read(&caps);
    if (memcmp(&caps, first, sizeof(caps)))
        return -ENODEV;
    feature_control_set();
    write_cr0((read_cr0() | caps.cr0_fixed0) & caps.cr0_fixed1);
    write_cr4((read_cr4() | caps.cr4_fixed0 | CR4_VMXE) & caps.cr4_fixed1);
    *(u32 *)cpu->backend_page = field_get(BASIC_REVISION, caps.basic);
    return vmxon(frame_address(cpu->backend_page)) ? 0 : -EIO;
}

static int init(void)
{
    return present() ? vmx_init() : -ENODEV;
}

const struct backend vmx_backend = {
    .name = "VT-x with EPT",
    .init = init,
    .cpu_on = cpu_on,
    .vcpu_size = sizeof(struct vmx_vcpu),
    .vcpu_init = vmx_vcpu_init,
    .vcpu_fini = vmx_vcpu_fini,
    .restore = vmx_restore,
    .save = vmx_save,
    .run = vmx_run,
    .get = vmx_get,
    .set = vmx_set,
    .dirty_log = vmx_dirty_log,
    .dump = vmx_dump,
};

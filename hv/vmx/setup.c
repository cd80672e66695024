/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decisions that are made once, the constant part of a VMCS, and how a VMCS gets into and out of a processor.
 *
 * A VMCS is active on one CPU at most, while its vcpu is resident there; otherwise it is clear, and any CPU may take
 * it. backend_data of a CPU is that of the resident, so that a short visit to another VMCS (vmx_borrow) can be undone.
 */
#define LOG_PREFIX "vmx"
#include "hv/vmx/vmx.h"

#include <errno.h>
#include <string.h>

#include "host/asm.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/msr_index.h"
#include "hv/cpuid_features.h"
#include "hv/cpuid.h"
#include "host/log.h"
#include "host/panic.h"
#include "hv/resident.h"
#include "hv/msr.h"
#include "hv/vm.h"
#include "host/frame.h"

#define CPUID_7_EDX_ARCH_CAPABILITIES BIT(29)

/* The guest owns those of these CR4 bits that CPUID offers: changing them needs no check and changes no mode. */
#define CR4_HARMLESS (CR4_TSD | CR4_DE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT)

/* A quarter of the MSR bitmap for each of: reads of low MSRs, of high ones, writes of low, of high (SDM 3C "MSR-Bitmap
 * Address"). */
#define MSR_BITMAP_QUARTER 1024
#define MSR_BITMAP_WRITES (2 * MSR_BITMAP_QUARTER)
#define MSR_HIGH_BASE 0xC0000000

/*
 * #MC belongs to the host. A guest can make #DB and #AC recur endlessly during their own delivery, so that no interrupt
 * is ever taken; the exit breaks that circle.
 */
#define EXCEPTIONS (BIT(VECTOR_MC) | BIT(VECTOR_DB) | BIT(VECTOR_AC))

/* A guest that ignores external interrupts because of Bochs (docs/vmx.md) comes out after this at the latest. */
#define LONGEST_RUN_NS 5000000ULL

struct vmx_shared vmx_shared;

static bool large_pages_execute(void)
{
    const struct cpuid_regs leaf0 = cpuid(0, 0);
    u64 capabilities = cpuid(7, 0).edx & CPUID_7_EDX_ARCH_CAPABILITIES ? rdmsr(MSR_ARCH_CAPABILITIES) : 0;

    return multihit_safe(&leaf0, cpuid(1, 0).eax, capabilities);
}

static struct npt_format make_npt_format(u64 ept_caps)
{
    bool has_ad = ept_caps & EPT_CAP_ACCESSED_DIRTY;

    return (struct npt_format){
        .name = "EPT",
        .read = EPT_READ,
        .write = EPT_WRITE,
        .exec = EPT_EXEC,
        .exec_large = large_pages_execute() ? EPT_EXEC : EPT_IGNORED,
        .table = EPT_READ | EPT_WRITE | EPT_EXEC,
        .leaf_4k = EPT_MEMORY_WB,
        .leaf_large = EPT_MEMORY_WB | EPT_LARGE,
        .large = EPT_LARGE,
        .present = EPT_READ | EPT_WRITE | EPT_EXEC,
        .accessed = has_ad ? EPT_ACCESSED : 0,
        .dirty = has_ad ? EPT_DIRTY : 0,
        .has_1g = ept_caps & EPT_CAP_1G,
    };
}

static int msr_bitmap_init(void)
{
    unsigned count;
    const u32 *msrs = msr_passthrough(&count);
    u8 *bitmap = frame_alloc_page();

    if (!bitmap) {
        pr_err("no memory for the MSR bitmap");
        return -ENOMEM;
    }
    memset(bitmap, 0xFF, PAGE_SIZE);
    for (unsigned i = 0; i < count; i++) {
        bool high = msrs[i] >= MSR_HIGH_BASE;
        u32 bit = msrs[i] & 0x1FFF;
        u8 *reads = bitmap + high * MSR_BITMAP_QUARTER;

        reads[bit / 8] &= ~(1U << bit % 8);
        reads[MSR_BITMAP_WRITES + bit / 8] &= ~(1U << bit % 8);
    }
    vmx_shared.msr_bitmap = frame_address(bitmap);
    return 0;
}

static const char *with(bool it)
{
    return it ? "with" : "without";
}

int vmx_init(void)
{
    struct vmx_shared *shared = &vmx_shared;

    vmx_caps_read(&shared->caps);
    if (!vmx_controls_choose(&shared->caps, &shared->controls))
        return -ENODEV;

    u64 ept_caps = shared->caps.ept_vpid;

    shared->has_timer = shared->controls.pin & PIN_PREEMPTION_TIMER;
    shared->longest_run = clock_ns_to_ticks(LONGEST_RUN_NS);
    shared->timer_rate = field_get(MISC_TIMER_RATE, shared->caps.misc);
    shared->cr4_guest_owned = cpuid_cr4_mask(cpuid_host_policy()) & CR4_HARMLESS;
    backend_features = (struct backend_features){
        .npt_format = make_npt_format(ept_caps),
        .scales_tsc = shared->controls.secondary & SECONDARY_TSC_SCALING,
    };
    pr_info("pages of 4 KiB, 2 MiB%s; %s A/D bits, %s VPID, %s preemption timer, %s TSC scaling",
            ept_caps & EPT_CAP_1G ? ", 1 GiB" : "", with(ept_caps & EPT_CAP_ACCESSED_DIRTY),
            with(shared->controls.secondary & SECONDARY_VPID), with(shared->has_timer),
            with(backend_features.scales_tsc));
    if (backend_features.npt_format.exec_large != EPT_EXEC)
        pr_info("code in pages of 4 KiB only: a change of page size may raise a machine check (CVE-2018-12207)");
    return msr_bitmap_init();
}

void vmx_tsc_put(const struct vcpu *vcpu)
{
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);

    vmx->tsc_offset = vcpu->tsc_offset;
    vmx->tsc_ratio = vcpu->vm->tsc.ratio;
    vmwrite(TSC_OFFSET, vmx->tsc_offset);
    if (backend_features.scales_tsc)
        vmwrite(TSC_MULTIPLIER, vmx->tsc_ratio);
}

/* Fields that are always 0. GUEST_ACTIVITY: active, as HLT and INIT states are the core's. */
static const enum vmcs_field zero_fields[] = { PAGE_FAULT_ERROR_MASK,   PAGE_FAULT_ERROR_MATCH, CR3_TARGET_COUNT,
                                               EXIT_MSR_STORE_COUNT,    EXIT_MSR_LOAD_COUNT,    ENTRY_MSR_LOAD_COUNT,
                                               ENTRY_INTERRUPTION_INFO, GUEST_DEBUGCTL,         GUEST_ACTIVITY,
                                               HOST_FS_SELECTOR,        HOST_GS_SELECTOR,       HOST_FS_BASE,
                                               HOST_SYSENTER_CS,        HOST_SYSENTER_ESP,      HOST_SYSENTER_EIP };

static void controls_init(const struct vcpu *vcpu)
{
    const struct vmx_controls *controls = &vmx_shared.controls;
    const struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    bool rdtscp = cpuid_has(&vcpu->vm->identity.cpuid, FEATURE_RDTSCP); /* it raises #UD without the control */
    u32 may = vmx_shared.caps.secondary >> 32;

    vmwrite(PIN_BASED_CONTROLS, controls->pin);
    vmwrite(PRIMARY_CONTROLS, controls->primary);
    vmwrite(SECONDARY_CONTROLS, controls->secondary | (rdtscp ? SECONDARY_RDTSCP & may : 0));
    vmwrite(EXIT_CONTROLS, controls->exit);
    vmwrite(ENTRY_CONTROLS, controls->entry);
    vmwrite(EXCEPTION_BITMAP, EXCEPTIONS);
    vmx_tsc_put(vcpu);
    vmwrite(MSR_BITMAP, vmx_shared.msr_bitmap);
    vmwrite(EPT_POINTER, vmx->eptp);
    if (vmx->vpid)
        vmwrite(VIRTUAL_PROCESSOR_ID, vmx->vpid);
    vmwrite(CR0_GUEST_HOST_MASK, ~CR0_GUEST_OWNED);
    vmwrite(CR4_GUEST_HOST_MASK, ~vmx_shared.cr4_guest_owned);
    vmwrite(VMCS_LINK_POINTER, ~0ULL);
}

static void host_init(void)
{
    vmwrite(HOST_CS_SELECTOR, SELECTOR_CODE);
    vmwrite(HOST_SS_SELECTOR, SELECTOR_DATA);
    vmwrite(HOST_DS_SELECTOR, SELECTOR_DATA);
    vmwrite(HOST_ES_SELECTOR, SELECTOR_DATA);
    vmwrite(HOST_TR_SELECTOR, SELECTOR_TSS);
    vmwrite(HOST_PAT, PAT_RESET);
    vmwrite(HOST_RIP, (u64)vmx_exit_landing);
}

/* Host fields that differ between CPUs, or may change until the vcpu is resident. */
static void host_cpu_put(const struct cpu *cpu)
{
    struct descriptor_pointer idtr;

    __asm__ volatile("sidt %0" : "=m"(idtr));
    vmwrite(HOST_CR0, read_cr0());
    vmwrite(HOST_CR3, read_cr3());
    vmwrite(HOST_CR4, read_cr4());
    vmwrite(HOST_EFER, rdmsr(MSR_EFER));
    vmwrite(HOST_GS_BASE, (u64)cpu);
    vmwrite(HOST_TR_BASE, (u64)&cpu->tss);
    vmwrite(HOST_GDTR_BASE, (u64)cpu->gdt);
    vmwrite(HOST_IDTR_BASE, idtr.base);
}

/* Unique among existing VMs, unless 65535 / CONFIG_MAX_VCPUS VMs were created between two of them; even then their EPT
 * roots tell them apart. */
static u16 vpid_of(const struct vcpu *vcpu)
{
    if (!(vmx_shared.controls.secondary & SECONDARY_VPID))
        return 0;
    return (vcpu->vm->id * CONFIG_MAX_VCPUS + vcpu->id) % 65535 + 1;
}

void vmx_vcpu_init(struct vcpu *vcpu)
{
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu), *previous;

    *(u32 *)vcpu->backend_page = field_get(BASIC_REVISION, vmx_shared.caps.basic);
    vmx->vmcs_pa = frame_address(vcpu->backend_page);
    vmx->cpu = NO_CPU;
    vmx->vpid = vpid_of(vcpu);
    vmx->eptp = vcpu->vm->npt.root | EPTP_WRITE_BACK | EPTP_4_LEVELS;
    if (backend_features.npt_format.dirty)
        vmx->eptp |= EPTP_ACCESSED_DIRTY;

    vmclear(vmx->vmcs_pa);
    previous = vmx_borrow(vmx);
    for (unsigned i = 0; i < ARRAY_SIZE(zero_fields); i++)
        vmwrite(zero_fields[i], 0);
    controls_init(vcpu);
    host_init();
    vmx_return(vmx, previous);
}

void vmx_vcpu_fini(struct vcpu *vcpu)
{
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);

    assert(this_cpu()->backend_data != vmx);
    if (vmx->pml)
        frame_free_page(vmx->pml);
}

struct vmx_vcpu *vmx_borrow(struct vmx_vcpu *vmx)
{
    struct vmx_vcpu *current = this_cpu()->backend_data;

    if (current != vmx)
        vmptrld(vmx->vmcs_pa);
    return current;
}

void vmx_return(struct vmx_vcpu *vmx, struct vmx_vcpu *previous)
{
    if (previous == vmx)
        return;
    vmclear(vmx->vmcs_pa);
    if (previous)
        vmptrld(previous->vmcs_pa);
}

struct syscall_msrs vmx_syscall_get(void)
{
    return (struct syscall_msrs){
        .star = rdmsr(MSR_STAR),
        .lstar = rdmsr(MSR_LSTAR),
        .cstar = rdmsr(MSR_CSTAR),
        .fmask = rdmsr(MSR_FMASK),
        .kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE),
    };
}

bool vmx_syscall_put(struct vcpu *vcpu)
{
    const struct syscall_msrs *msrs = &vmx_vcpu(vcpu)->syscall;

    return cpu_took(vcpu, wrmsr_guest(MSR_STAR, msrs->star), "WRMSR of STAR", msrs->star) &&
           cpu_took(vcpu, wrmsr_guest(MSR_LSTAR, msrs->lstar), "WRMSR of LSTAR", msrs->lstar) &&
           cpu_took(vcpu, wrmsr_guest(MSR_CSTAR, msrs->cstar), "WRMSR of CSTAR", msrs->cstar) &&
           cpu_took(vcpu, wrmsr_guest(MSR_FMASK, msrs->fmask), "WRMSR of FMASK", msrs->fmask) &&
           cpu_took(vcpu, wrmsr_guest(MSR_KERNEL_GS_BASE, msrs->kernel_gs_base), "WRMSR of KERNEL_GS_BASE",
                    msrs->kernel_gs_base);
}

/*
 * If the vcpu comes to a CPU other than its last, that CPU may hold old translations, left by the vcpu itself or by a
 * former owner of its VPID or of its EPT root's frame: run() flushes both kinds.
 */
bool vmx_restore(struct vcpu *vcpu)
{
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    struct cpu *cpu = this_cpu();

    assert(!cpu->backend_data);
    /* On a failure they are still in memory, so the dump shows the vcpu's own values, not the last vcpu's. */
    if (!vmx_syscall_put(vcpu) || !cpu_took(vcpu, write_dr6_guest(vmx->dr6), "MOV to DR6", vmx->dr6))
        return false;
    vmptrld(vmx->vmcs_pa);
    cpu->backend_data = vmx;
    vmx->launched = false;
    vmx->unsettled = true;
    vmx->timer_until = 0;
    host_cpu_put(cpu);
    if (vmx->tsc_ratio != vcpu->vm->tsc.ratio) /* an arriving vcpu's ratio is known only now */
        vmx_tsc_put(vcpu);
    if (vmx->cpu != cpu->index) {
        vmx->cpu = cpu->index;
        vmx->flush = FLUSH_VPID | FLUSH_EPT;
    }
    return true;
}

void vmx_save(struct vcpu *vcpu)
{
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);
    struct cpu *cpu = this_cpu();

    assert(cpu->backend_data == vmx);
    vmx->syscall = vmx_syscall_get();
    vmx->dr6 = read_dr6();
    vmclear(vmx->vmcs_pa);
    cpu->backend_data = NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per-CPU structures and the state that every processor is put into.
 *
 * The boot processor's struct and its first exception stack are static, because they are needed before there is memory.
 * Other structs live in frames of their own and are never freed.
 */
#include "host/cpu.h"

#include <errno.h>
#include <string.h>

#include "host/asm.h"
#include "host/msr_index.h"
#include "host/traps.h"
#include "host/x86.h"
#include "host/panic.h"
#include "host/frame.h"
#include "host/host_map.h"
#include "host/image.h"
#include "host/layout.h"

/* Descriptors (SDM 3A "Segment Descriptors"); accessed bits preset, so that the GDT need not be written. */
#define GDT_CODE 0x00AF9B000000FFFFULL /* 64-bit code, DPL 0 */
#define GDT_DATA 0x00CF93000000FFFFULL
#define GDT_TSS 0x0000890000000000ULL /* available 64-bit TSS */

#define CPU_ORDER 3 /* of the frames of a struct cpu, which is mostly its trace ring */

#define CPUID_1_EDX_MCE BIT(7)
#define CPUID_1_ECX_XSAVE BIT(26)
#define CPUID_XSAVE 0xD

_Static_assert(sizeof(struct cpu) <= PAGE_SIZE << CPU_ORDER, "cpu_create takes as many frames");
_Static_assert(offsetof(struct cpu, self) == 0, "this_cpu reads %gs:0");
_Static_assert(sizeof(struct descriptor_pointer) == 10, "LGDT operand");

static struct cpu boot_cpu;
static u8 boot_exception_stack[PAGE_SIZE] __attribute__((aligned(16)));
static struct cpu *cpus[MAX_CPUS] = { &boot_cpu };
static u32 nr_cpus = 1;

struct cpu *cpu_at(u32 index)
{
    assert(index < nr_cpus);
    return cpus[index];
}

u32 cpu_count(void)
{
    return __atomic_load_n(&nr_cpus, __ATOMIC_ACQUIRE);
}

static void gdt_init(struct cpu *cpu)
{
    u64 base = (u64)&cpu->tss, limit = sizeof(cpu->tss) - 1;

    cpu->gdt[0] = 0;
    cpu->gdt[SELECTOR_CODE / 8] = GDT_CODE;
    cpu->gdt[SELECTOR_DATA / 8] = GDT_DATA;
    cpu->gdt[SELECTOR_TSS / 8] = GDT_TSS | limit | (base & BITS(23, 0)) << 16 | (base & BITS(31, 24)) << 32;
    cpu->gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
    cpu->tss.iomap_base = sizeof(cpu->tss);
}

/* Load the GDT, then every segment register from it. %fs and %gs get their bases from MSRs. */
static void gdt_load(struct cpu *cpu)
{
    struct descriptor_pointer pointer = { .limit = sizeof(cpu->gdt) - 1, .base = (u64)cpu->gdt };

    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "pushq $1f\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "mov %2, %%ds\n\t"
                     "mov %2, %%es\n\t"
                     "mov %2, %%ss\n\t"
                     "mov %3, %%fs\n\t"
                     "mov %3, %%gs\n\t"
                     "lldt %w3\n\t"
                     "ltr %w4"
                     :
                     : "m"(pointer), "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(0), "r"(SELECTOR_TSS)
                     : "memory");
}

/*
 * Does CR4 take OSXSAVE if CPUID shows XSAVE? In QEMU's emulator (7.2) it does so only if leaf 0Dh has one of XSAVE's
 * further forms; otherwise (Opteron_G4, _G5) the write acts as an exit of a guest that is not there, and the machine is
 * lost without a word.
 */
static bool takes_osxsave(void)
{
    struct cpuid_regs features = cpuid(1, 0);
    bool emulator = (features.ecx & CPUID_1_ECX_HYPERVISOR) && cpuid(CPUID_HYPERVISOR, 0).ebx == CPUID_NAME_TCG;

    return (features.ecx & CPUID_1_ECX_XSAVE) && (!emulator || cpuid(CPUID_XSAVE, 1).eax);
}

/*
 * Turn on the features that the hypervisor relies on, and all others off. Changing PGE drops all translations,
 * including global ones (SDM 3A "Invalidation of TLBs").
 */
static void control_registers_init(void)
{
    struct cpuid_regs features = cpuid(1, 0);
    u64 cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    if (features.edx & CPUID_1_EDX_MCE)
        cr4 |= CR4_MCE;
    if (takes_osxsave())
        cr4 |= CR4_OSXSAVE;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    write_cr0(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE);
    write_cr4(cr4);
    write_cr4(cr4 | CR4_PGE);
    if (rdmsr(MSR_PAT) != PAT_RESET)
        wrmsr(MSR_PAT, PAT_RESET);
    write_dr7(DR7_RESET);
}

void cpu_init(struct cpu *cpu)
{
    gdt_init(cpu);
    gdt_load(cpu);
    wrmsr(MSR_FS_BASE, 0);
    wrmsr(MSR_GS_BASE, (u64)cpu);
    traps_load();
    control_registers_init();
}

static void cpu_fill(struct cpu *cpu, u32 index, u32 apic_id)
{
    cpu->self = cpu;
    cpu->index = index;
    cpu->apic_id = apic_id;
    list_init(&cpu->run_queue);
}

void cpu_init_boot(u32 apic_id)
{
    cpu_fill(&boot_cpu, 0, apic_id);
    for (unsigned i = 0; i < NR_ISTS; i++)
        boot_cpu.tss.ist[i] = (u64)boot_exception_stack + sizeof(boot_exception_stack);
    cpu_init(&boot_cpu);
    boot_cpu.online = true;
}

int cpu_stacks_init(struct cpu *cpu)
{
    u64 top = host_map_stack(STACK_SIZE);

    if (top == 0)
        return -ENOMEM;
    cpu->stack_top = top;
    for (unsigned i = 0; i < NR_ISTS; i++) {
        top = host_map_stack(IST_STACK_SIZE);
        if (top == 0)
            return -ENOMEM;
        cpu->tss.ist[i] = top;
    }
    return 0;
}

struct cpu *cpu_create(u32 apic_id)
{
    hpa_t frame = nr_cpus < MAX_CPUS ? frame_alloc(CPU_ORDER) : FRAME_NONE;
    struct cpu *cpu;

    if (frame == FRAME_NONE)
        return NULL;
    cpu = memset(frame_window(frame), 0, sizeof(*cpu));
    cpu_fill(cpu, nr_cpus, apic_id);
    return cpu_stacks_init(cpu) == 0 ? cpu : NULL;
}

void cpu_add(struct cpu *cpu)
{
    assert(cpu->index == nr_cpus);
    cpus[cpu->index] = cpu;
    __atomic_store_n(&nr_cpus, nr_cpus + 1, __ATOMIC_RELEASE); /* after the pointer */
}

static bool range_contains(u64 base, u64 end, u64 address)
{
    return address >= base && address <= end - 16;
}

bool cpu_stack_contains(const struct cpu *cpu, u64 address)
{
    if (range_contains((u64)__data_start, (u64)__image_end, address))
        return true;
    for (unsigned i = 0; i < NR_ISTS; i++)
        if (range_contains(cpu->tss.ist[i] - IST_STACK_SIZE, cpu->tss.ist[i], address))
            return true;
    return cpu->stack_top != 0 && range_contains(cpu->stack_top - STACK_SIZE, cpu->stack_top, address);
}

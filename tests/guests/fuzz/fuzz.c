/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz: a kernel whose programs, in ring 3, do what they can to end the machine: one random program after the other, in
 * 64-bit, compatibility, 32-bit and virtual-8086 mode. What a program does ends in an exception, an interrupt or a call
 * of the kernel; the next one begins then. No program may end the VM.
 *
 *     seed=NUMBER programs=NUMBER|seconds=NUMBER
 *
 * It says its seed before each batch, with which that batch can be repeated.
 */
#include "tests/guests/fuzz/fuzz.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/modes.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "config/guest_abi.h"
#include "host/bits.h"

_Static_assert(offsetof(struct user, rip) == USER_RIP && offsetof(struct user, ds) == USER_DS, "enter.S");
_Static_assert(offsetof(struct user, way) == USER_WAY, "enter.S");
_Static_assert(offsetof(struct legacy_user, eip) == LEGACY_EIP, "legacy.S");
_Static_assert(offsetof(struct legacy_user, eflags) == LEGACY_EFLAGS, "legacy.S");
_Static_assert(offsetof(struct legacy_user, es) == LEGACY_ES && sizeof(struct legacy_user) == 68, "legacy.S");

#define TICK_VECTOR 0x40
#define TICK_US 1000
#define CALL_VECTOR 0x80
#define STACK_OF_ALL 2 /* number in the TSS: a program may call the kernel with any stack */
#define BATCH 2048

/* Unless told: programs 1 and 13 of this batch execute INT with their stack in the hole, and odd under AC. */
#define SEED 138978

#define PORT 0x80
#define UART_SCR (GODWIT_CONSOLE_PORT + 7)

#define MSR_STAR 0xC0000081
#define MSR_CSTAR 0xC0000083
#define MSR_FMASK 0xC0000084
#define CR4_VME 0x00000001
#define CR4_FSGSBASE 0x00010000
#define CPUID_1_EDX_VME BIT(1)
#define CPUID_1_EDX_SEP BIT(11)
#define CPUID_1_ECX_XSAVE BIT(26)
#define CPUID_7_EBX_FSGSBASE BIT(0)

#define DESCRIPTOR_LDT 0x82ULL
#define DESCRIPTOR_TSS32 0x89ULL
#define GATE32 0x8EULL
#define GATE32_DPL3 0xEEULL

const char guest_name[] = "fuzz";

static u64 ldt[LDT_SLOTS] __attribute__((aligned(16)));
static struct user user;
static u8 stack[4096] __attribute__((aligned(16)));
static u64 ended_by[256], calls, sysenters, gates, legacy_programs;

/* What a program does has taken its time: end it, as everything does, by a fault. Interrupts are on in ring 3 alone. */
static void tick(struct trap_frame *frame)
{
    lapic_eoi();
    frame->rip = (u64)target_tick;
    frame->cs = KIT_CS64;
    frame->ss = KIT_DS;
    frame->rsp = (u64)(stack + sizeof(stack));
    frame->rflags = RFLAGS_FIXED;
}

static void count(struct fault f)
{
    if (f.vector >= 0)
        ended_by[f.vector]++;
    calls += f.rip == (u64)target_syscall;
    sysenters += f.rip == (u64)target_sysenter;
    gates += f.rip == (u64)target_gate;
}

static u64 system_descriptor(u64 base, u64 size, u64 type)
{
    return (size - 1) | (base & BITS(23, 0)) << 16 | type << 40 | (base & BITS(31, 24)) << 32;
}

static void run_long(void)
{
    program_long(&user);
    wrmsr(MSR_FMASK, random32() % 2 ? RFLAGS_TF | RFLAGS_IF | 0x4000 : RFLAGS_IF);
    count(fault_catch(user_enter, (u64)&user));
}

/* What long mode keeps in the same places is put back. */
static void run_legacy(void)
{
    u64 efer = rdmsr(MSR_EFER);

    program_legacy(&legacy_current);
    kit_gdt[KIT_SCRATCH / 8] = system_descriptor((u64)ldt, sizeof(ldt), DESCRIPTOR_LDT);
    kit_gdt[LEGACY_TSS / 8] = system_descriptor((u64)legacy_tss, (u64)(legacy_tss_end - legacy_tss), DESCRIPTOR_TSS32);
    wrmsr(MSR_SYSENTER_EIP, (u64)legacy_sysenter);
    wrmsr(MSR_EFER, efer & ~(u64)EFER_SCE);
    protected_call(legacy_round);
    wrmsr(MSR_EFER, efer);
    wrmsr(MSR_SYSENTER_EIP, (u64)target_sysenter);
    kit_gdt[LEGACY_TSS / 8] = 0;
    kit_gdt[KIT_TSS / 8] &= ~(2ULL << 40); /* not busy */
    asm volatile("ltr %w0; lldt %w1" : : "r"(KIT_TSS), "r"(KIT_SCRATCH));
    if (legacy_vector == TICK_VECTOR)
        lapic_eoi();
    ended_by[legacy_vector & 0xFF]++;
    legacy_programs++;
}

static void arena_map(void)
{
    const u64 flags = PTE_P | PTE_W | PTE_U;

    page_map(GiB(1), ARENA, LEVEL_2M, flags);
    page_map(0x100000000 - ARENA_SIZE, ARENA, LEVEL_2M, flags);
    page_map(PAGING_TEST, ARENA, LEVEL_2M, flags);
    page_map(0x800000000000 - ARENA_SIZE, ARENA, LEVEL_2M, flags);
    page_map(0xFFFF800000000000, ARENA, LEVEL_2M, flags);
}

/*
 * What virtual-8086 mode reaches is the arena's, with a hole in it; the rest of memory is the kernel's. Nothing of the
 * kernel is within that reach: in QEMU 7.2 a far call there pushes with the kernel's rights.
 */
static u32 legacy_page(u32 address)
{
    if (address >= V86_REACH)
        return address | PTE_P | PTE_W;
    return ((address - V86_HOLE < V86_HOLE_SIZE ? HOLE : ARENA) + address) | PTE_P | PTE_W | PTE_U;
}

/* The last 4 MiB are the arena's again. */
static void legacy_init(void)
{
    for (u32 i = 0; i < 1024; i++) {
        u64 stub = (u64)legacy_stubs + (i & 0xFF) * KIT_STUB_SIZE;
        u64 kind = (i & 0xFF) == X86_BP || (i & 0xFF) == X86_OF || (i & 0xFF) == CALL_VECTOR ? GATE32_DPL3 : GATE32;

        legacy_pt[i] = legacy_page(i * PAGE_SIZE);
        legacy_pd[i] = i << 22 | PTE_P | PTE_W | PTE_PS;
        legacy_idt[i & 0xFF] = (stub & 0xFFFF) | KIT_CS32 << 16 | kind << 40 | (stub >> 16) << 48;
    }
    legacy_pd[0] = (u32)(u64)legacy_pt | PTE_P | PTE_W | PTE_U;
    legacy_pd[1023] = (u32)ARENA | PTE_P | PTE_W | PTE_U | PTE_PS;
    legacy_cr4 = CR4_PSE | (cpuid(1, 0).edx & CPUID_1_EDX_VME ? CR4_VME : 0);
    legacy_io_map[PORT / 8] = (u8) ~(1 << PORT % 8);
    legacy_io_map[UART_SCR / 8] = (u8) ~(1 << UART_SCR % 8);
}

static void kernel_init(void)
{
    struct cpuid leaf1 = cpuid(1, 0);

    for (u32 i = 0; i < 256; i++)
        kit_idt[i].ist = i == X86_DF ? 1 : STACK_OF_ALL;
    kit_idt[X86_BP].type |= GATE_DPL3;
    kit_idt[X86_OF].type |= GATE_DPL3;
    kit_idt[CALL_VECTOR].type |= GATE_DPL3;
    trap_ports_user(PORT, 1);
    trap_ports_user(UART_SCR, 1);
    write_cr0((read_cr0() | CR0_AM | CR0_MP) & ~(u64)CR0_EM);
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | (leaf1.ecx & CPUID_1_ECX_XSAVE ? CR4_OSXSAVE : 0) |
              (cpuid(7, 0).ebx & CPUID_7_EBX_FSGSBASE ? CR4_FSGSBASE : 0));
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_STAR, (u64)(KIT_DS | 3) << 48 | (u64)KIT_CS64 << 32);
    wrmsr(MSR_LSTAR, (u64)target_syscall);
    wrmsr(MSR_CSTAR, (u64)target_syscall);
    wrmsr(MSR_SYSENTER_CS, KIT_CS64);
    wrmsr(MSR_SYSENTER_ESP, (u64)(stack + sizeof(stack)));
    wrmsr(MSR_SYSENTER_EIP, (u64)target_sysenter);
    arena_map();
    legacy_init();
    trap_handle(TICK_VECTOR, tick);
    lapic_enable();
    lapic_timer(TICK_VECTOR, LVT_PERIODIC, TICK_US);
}

/* All that a program can see depends on the seed alone. */
static void batch_begin(u64 seed)
{
    random_state = seed;
    memset((void *)ARENA, 0xCC, MiB(4));
    ldt_fill(ldt, target_gate);
    kit_gdt[KIT_SCRATCH / 8] = system_descriptor((u64)ldt, sizeof(ldt), DESCRIPTOR_LDT);
    kit_gdt[LEGACY_TSS / 8] = 0;
    asm volatile("lldt %w0" : : "r"(KIT_SCRATCH));
}

static u64 option(const char *key)
{
    char text[24];
    u64 number = 0;

    if (!boot_option(key, text, sizeof(text)))
        return 0;
    for (const char *p = text; *p >= '0' && *p <= '9'; p++)
        number = number * 10 + (u64)(*p - '0');
    return number;
}

/* That it was tried at all. */
static void coverage_report(u64 programs)
{
    static const u8 expected[] = { X86_DB, X86_BP, X86_UD, X86_GP, X86_PF, X86_NP, CALL_VECTOR };

    for (u32 i = 0; i < 256; i++)
        if (ended_by[i])
            kprintf("vector %u ended %lu\n", i, ended_by[i]);
    kprintf("syscall %lu, sysenter %lu, gate %lu, of %lu outside long mode\n", calls, sysenters, gates,
            legacy_programs);
    for (u32 i = 0; i < ARRAY_SIZE(expected); i++)
        report("a vector that programs must have met", ended_by[expected[i]] > 0);
    report("programs ran", programs > 0);
}

void guest_main(void)
{
    u64 seed = option("seed"), want = option("programs"), seconds = option("seconds"), done = 0;

    want = want ? want : seconds ? ~0ULL : 2 * BATCH;
    seed = seed ? seed : SEED;
    kernel_init();
    report("the kernel is beyond the reach of virtual-8086 mode", (u64)image_start >= V86_REACH);
    while (done < want && (!seconds || clock_us(rdtsc() - boot_tsc) < seconds * 1000000)) {
        kprintf("%lu programs; seed=%lu\n", done, seed);
        batch_begin(seed);
        for (u32 i = 0; i < BATCH && done < want; i++, done++) {
            if (random32() % 4)
                run_long();
            else
                run_legacy();
        }
        seed = (u64)random32() + 1;
    }
    lapic_timer_stop();
    kprintf("%lu programs in %lu s\n", done, clock_us(rdtsc() - boot_tsc) / 1000000);
    coverage_report(done);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/guest_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/clock.h"
#include "host/cpu.h"
#include "host/fixup.h"
#include "host/smp.h"
#include "hv/backend.h"
#include "hv/cpuid_features.h"
#include "hv/resident.h"
#include "host/traps.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/processor.h"
#include "tests/unit/ram.h"

#define TSC_KHZ 2000000
#define TABLES 0x10000 /* the guest's page tables */
#define LEN 2          /* of the instruction that exits */

struct guest_rig rig;
static struct cpu cpu;

/* --- What the exits stand on ----------------------------------------------------------------------------------- */

u64 unit_tsc(void)
{
    return rig.tsc;
}

u64 clock_ticks_to_ns(u64 ticks)
{
    return ticks / 2;
}

u64 clock_ns(void)
{
    return clock_ticks_to_ns(rig.tsc);
}

void cpu_kick(u32 index)
{
    (void)index;
}

bool resident_set(struct vcpu *vcpu)
{
    (void)vcpu;
    return true;
}

void resident_clear(void)
{
    cpu.resident = NULL;
}

void fpu_reset(struct vcpu *vcpu)
{
    vcpu->xcr0 = XCR0_X87;
}

const char *trap_name(u64 vector)
{
    (void)vector;
    return "an exception";
}

void vm_first_entry(struct vm *vm)
{
    (void)vm;
}

static void ended(struct vm *vm, enum vm_status status, const char *format, va_list args)
{
    vm->status = status;
    vsnprintf(rig.end, sizeof(rig.end), format, args);
}

void vm_catch_up(struct vm *vm)
{
    (void)vm;
}

void vm_crash(struct vcpu *vcpu, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    ended(vcpu->vm, VM_CRASHED, format, args);
    va_end(args);
}

void vm_triple_fault(struct vcpu *vcpu, const char *format, ...)
{
    va_list args;

    rig.triple_faults++;
    va_start(args, format);
    ended(vcpu->vm, VM_CRASHED, format, args);
    va_end(args);
}

/* --- The backend: a group that was not asked for is not what it was -------------------------------------------- */

static void nothing(struct vcpu *vcpu)
{
    (void)vcpu;
}

static void copy_groups(struct vcpu_state *to, const struct vcpu_state *from, unsigned groups)
{
    static const struct {
        unsigned group;
        size_t begin, end;
    } part[] = {
        { STATE_CR, offsetof(struct vcpu_state, cr0), offsetof(struct vcpu_state, seg) },
        { STATE_SEGMENTS, offsetof(struct vcpu_state, seg), offsetof(struct vcpu_state, syscall) },
        { STATE_MSRS, offsetof(struct vcpu_state, syscall), offsetof(struct vcpu_state, dr6) },
        { STATE_DEBUG, offsetof(struct vcpu_state, dr6), sizeof(struct vcpu_state) },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(part); i++)
        if (groups & part[i].group)
            memcpy((u8 *)to + part[i].begin, (const u8 *)from + part[i].begin, part[i].end - part[i].begin);
}

static void get(struct vcpu *vcpu, struct vcpu_state *state, unsigned groups)
{
    memset(state, 0xA5, sizeof(*state));
    copy_groups(state, vcpu->backend, groups);
}

static void set(struct vcpu *vcpu, const struct vcpu_state *state, unsigned groups)
{
    copy_groups(vcpu->backend, state, groups);
}

static const struct backend rig_backend = { .name = "rig",
                                            .vcpu_size = sizeof(struct vcpu_state),
                                            .vcpu_init = nothing,
                                            .vcpu_fini = nothing,
                                            .get = get,
                                            .set = set };
struct backend_features backend_features;
const struct backend *backend_in_use = &rig_backend;

/* --- Its interrupt source and its device ------------------------------------------------------------------------ */

static u8 get_cr8(struct vcpu *vcpu)
{
    (void)vcpu;
    return rig.cr8;
}

static void set_cr8(struct vcpu *vcpu, u8 value)
{
    (void)vcpu;
    rig.cr8 = value;
}

static int no_msr(struct vcpu *vcpu, u32 msr, u64 *value)
{
    (void)vcpu, (void)msr, (void)value;
    return -ENOENT;
}

static int no_msr_write(struct vcpu *vcpu, u32 msr, u64 value)
{
    (void)vcpu, (void)msr, (void)value;
    return -ENOENT;
}

static void tsc_changed(struct vcpu *vcpu)
{
    (void)vcpu;
    rig.tsc_changes++;
}

static void tsc_changed_for_the_clock(struct vcpu *vcpu)
{
    (void)vcpu;
    rig.clock_changes++;
}

static const struct interrupt_ops interrupts = {
    .get_cr8 = get_cr8, .set_cr8 = set_cr8, .read_msr = no_msr, .write_msr = no_msr_write, .tsc_changed = tsc_changed
};
static const struct vm_platform_ops no_more_msrs = { .read_msr = no_msr,
                                                     .write_msr = no_msr_write,
                                                     .tsc_changed = tsc_changed_for_the_clock };
const struct vm_platform_ops *vm_platform;

static void device_io(struct device *device, unsigned region, struct io *io)
{
    (void)device, (void)region;
    assert_in_range(rig.accesses, 0, ARRAY_SIZE(rig.access) - 1);
    if (!io->write)
        io->val = rig.answer & size_mask(io->size);
    rig.access[rig.accesses++] = *io;
    if (rig.on_access)
        rig.on_access();
}

static const struct device_ops device_ops = { .name = "device", .io = device_io };
static struct device device = { .ops = &device_ops };

/* --- The guest ------------------------------------------------------------------------------------------------- */

static void (*policy_change)(u32 leaf, u32 subleaf, struct cpuid_regs *regs);

/* A processor that answers ones where features are, and a size of AVX state as processors have it. */
static struct cpuid_regs all_features(u32 leaf, u32 subleaf)
{
    struct cpuid_regs r = { ~0u, ~0u, ~0u, ~0u };

    if (leaf == 0)
        r = (struct cpuid_regs){ .eax = 0x20, .ebx = 0x756E6547, .edx = 0x49656E69, .ecx = 0x6C65746E };
    else if (leaf == 0xD && subleaf == 2)
        r = (struct cpuid_regs){ .eax = 256, .ebx = 576 };
    if (policy_change)
        policy_change(leaf, subleaf, &r);
    return r;
}

struct cpuid_policy guest_rig_policy(void (*change)(u32 leaf, u32 subleaf, struct cpuid_regs *regs))
{
    struct cpuid_policy policy;

    policy_change = change;
    cpuid_policy_make(&policy, all_features);
    return policy;
}

void guest_poke(gpa_t gpa, const void *bytes, size_t len)
{
    assert_int_equal(guest_write(&rig.vm.mem, gpa, bytes, len), 0);
}

u64 guest_peek(gpa_t gpa, unsigned size)
{
    u64 value = 0;

    assert_int_equal(guest_read(&rig.vm.mem, gpa, &value, size), 0);
    return value;
}

/* One PML4 entry, and four of 1 GiB: all of the first 4 GiB. */
static void tables_make(void)
{
    u64 table = (TABLES + PAGE_SIZE) | PTE_P | PTE_W | PTE_U;

    guest_poke(TABLES, &table, sizeof(table));
    for (u64 i = 0; i < 4; i++) {
        u64 page = i << 30 | PTE_P | PTE_W | PTE_U | PTE_PS;

        guest_poke(TABLES + PAGE_SIZE + 8 * i, &page, sizeof(page));
    }
}

static void long_mode(struct vcpu_state *state)
{
    state->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
    state->cr3 = TABLES;
    state->cr4 = CR4_PAE;
    state->efer = EFER_LME | EFER_LMA;
    state->seg[SEG_CS] = (struct segment){ .selector = 8, .attr = 0xA09B, .limit = ~0u };
    for (unsigned i = SEG_ES; i <= SEG_GS; i++)
        if (i != SEG_CS)
            state->seg[i] = (struct segment){ .selector = 0x10, .attr = 0xC093, .limit = ~0u };
}

int guest_rig_setup(void **unused)
{
    struct vm *vm = &rig.vm;

    (void)unused;
    memset(&rig, 0, sizeof(rig));
    rig.tsc = 1ULL << 40;
    ram_init_full(MiB(16));
    processor = (struct processor){ .xcr0 = 0 };
    processor_run_as(&cpu);
    assert_int_equal(npt_init(&vm->npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&vm->mem, &vm->npt, RIG_RAM), 0);
    vm->status = VM_RUNNING;
    vm->identity.cpuid = guest_rig_policy(NULL);
    guest_tsc_init(&vm->tsc, TSC_KHZ, TSC_KHZ, false);
    vm_platform = &no_more_msrs;
    assert_int_equal(bus_add(&vm->pio, RIG_PORT, 16, &device, 0), 0);
    assert_int_equal(bus_add(&vm->mmio, RIG_MMIO, PAGE_SIZE, &device, 1), 0);
    vm->nr_vcpus = 1;
    vm->vcpu[0] = rig.vcpu = vcpu_create(vm, 0);
    assert_non_null(rig.vcpu);
    rig.vcpu->interrupts = &interrupts;
    rig.state = rig.vcpu->backend;
    tables_make();
    long_mode(rig.state);
    rig.vcpu->rip = RIG_CODE;
    return 0;
}

int guest_rig_teardown(void **unused)
{
    (void)unused;
    vcpu_destroy(rig.vcpu);
    guest_mem_fini(&rig.vm.mem);
    npt_fini(&rig.vm.npt);
    ram_fini();
    return 0;
}

/* --- Exits ----------------------------------------------------------------------------------------------------- */

int guest_exits(const struct exit *exit, bool skips)
{
    struct vcpu *vcpu = rig.vcpu;

    processor_run_as(&cpu); /* cmocka has handlers of its own in each test */
    vcpu->event.valid = false;
    vcpu->rip = RIG_CODE;
    vcpu->exit = *exit;
    exit_handlers[vcpu->exit.kind].handle(vcpu);
    assert_int_equal(vcpu->rip, RIG_CODE + (skips ? vcpu->exit.len : 0));
    return vcpu->event.valid ? vcpu->event.vector : NO_FAULT;
}

/* An instruction that faults is not skipped; every other one is. */
static int instruction(const struct exit *exit)
{
    struct vcpu *vcpu = rig.vcpu;

    processor_run_as(&cpu);
    vcpu->event.valid = false;
    vcpu->rip = RIG_CODE;
    vcpu->exit = *exit;
    vcpu->exit.len = LEN;
    exit_handlers[vcpu->exit.kind].handle(vcpu);
    if (!vcpu->event.valid || vcpu->event.vector == VECTOR_DB) {
        assert_int_equal(vcpu->rip, RIG_CODE + LEN);
        return vcpu->event.valid ? vcpu->event.vector : NO_FAULT;
    }
    assert_int_equal(vcpu->rip, RIG_CODE);
    assert_int_equal(vcpu->event.type, EVENT_EXCEPTION);
    assert_int_equal(vcpu->event.error, 0);
    return vcpu->event.vector;
}

int guest_rdmsr(u32 msr, u64 *value)
{
    int vector;

    rig.vcpu->regs[RCX] = msr;
    rig.vcpu->regs[RAX] = rig.vcpu->regs[RDX] = ~0ULL;
    vector = instruction(&(struct exit){ .kind = EXIT_RDMSR });
    if (vector == NO_FAULT) { /* SDM 2 "RDMSR": the upper halves are cleared */
        assert_int_equal(rig.vcpu->regs[RAX] >> 32 | rig.vcpu->regs[RDX] >> 32, 0);
        *value = rig.vcpu->regs[RDX] << 32 | rig.vcpu->regs[RAX];
    }
    return vector;
}

/* SDM 2 "WRMSR": the upper halves of the registers are ignored. */
int guest_wrmsr(u32 msr, u64 value)
{
    rig.vcpu->regs[RCX] = 0xDEADULL << 32 | msr;
    rig.vcpu->regs[RAX] = 0xDEADULL << 32 | (u32)value;
    rig.vcpu->regs[RDX] = 0xDEADULL << 32 | value >> 32;
    return instruction(&(struct exit){ .kind = EXIT_WRMSR });
}

struct cpuid_regs guest_cpuid(u32 leaf, u32 subleaf)
{
    u64 *regs = rig.vcpu->regs;

    regs[RAX] = 0xDEADULL << 32 | leaf;
    regs[RCX] = 0xDEADULL << 32 | subleaf;
    assert_int_equal(instruction(&(struct exit){ .kind = EXIT_CPUID }), NO_FAULT);
    assert_int_equal((regs[RAX] | regs[RBX] | regs[RCX] | regs[RDX]) >> 32, 0);
    return (struct cpuid_regs){ (u32)regs[RAX], (u32)regs[RBX], (u32)regs[RCX], (u32)regs[RDX] };
}

u64 guest_read_cr(u8 cr)
{
    const struct exit exit = { .kind = EXIT_CR, .u.cr = { .cr = cr, .gpr = RSI } };

    assert_int_equal(instruction(&exit), NO_FAULT);
    return rig.vcpu->regs[RSI];
}

int guest_write_cr(u8 cr, u64 value)
{
    return instruction(&(struct exit){ .kind = EXIT_CR, .u.cr = { .cr = cr, .write = true, .value = value } });
}

int guest_xsetbv(u32 index, u64 value)
{
    rig.vcpu->regs[RCX] = index;
    rig.vcpu->regs[RAX] = (u32)value;
    rig.vcpu->regs[RDX] = value >> 32;
    return instruction(&(struct exit){ .kind = EXIT_XSETBV });
}

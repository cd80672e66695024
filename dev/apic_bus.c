/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/apic_bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/codec.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/msr_index.h"
#include "dev/irq_wiring.h"
#include "dev/platform.h"
#include "host/bits.h"
#include "hv/vm.h"

#define VERSION 2 /* 2: with pv_eoi */
#define REGISTER_PAGE_SIZE 0x1000

static struct apic *apic_of(const struct vcpu *vcpu)
{
    return vcpu->interrupt_data;
}

static void receive_init(struct apic *apic)
{
    apic->pv_eoi = (struct pv_eoi){ 0 };
    pvclock_receive_init(apic->vcpu);
    lapic_receive_init(&apic->lapic);
    vcpu_reset(apic->vcpu);
}

/*
 * INIT, a start-up IPI, or one after the other (SDM 3A "Multiple-Processor Initialization": the vector is the page, in
 * real mode). The status is written once: nobody sees a vcpu that runs and is started anew wait in between.
 */
static void receive_start(struct apic *apic, u32 start)
{
    struct vcpu *vcpu = apic->vcpu;

    if (start & APIC_INIT)
        receive_init(apic);
    if (start & APIC_STARTUP && (start & APIC_INIT || vcpu->status == VCPU_WAIT_SIPI)) {
        vcpu_start_real(vcpu, (start & 0xFF) << PAGE_SHIFT);
        vcpu->status = VCPU_RUNNABLE;
    } else if (start & APIC_INIT) {
        vcpu->status = VCPU_WAIT_SIPI;
    }
}

static void accept(struct lapic *lapic, u64 *vectors, bool level)
{
    for (unsigned word = 0; word < 4; word++) {
        u64 taken = __atomic_load_n(&vectors[word], __ATOMIC_RELAXED);

        for (u64 bits = taken; bits; bits &= bits - 1)
            lapic_accept(lapic, word * 64 + __builtin_ctzll(bits), level);
        /* Release: vector_waits finds each vector either here or in the chip. */
        if (taken)
            __atomic_fetch_and(&vectors[word], ~taken, __ATOMIC_RELEASE);
    }
}

/* Take out of the mailbox the messages that other CPUs have put in. On the vcpu's CPU. */
static void collect(struct apic *apic)
{
    struct apic_mailbox *box = &apic->mailbox;

    /* Acquire: messages that a sender wrote before `any` are visible after it. `any` is cleared first, so that a later
     * message sets it again. */
    if (!__atomic_exchange_n(&box->any, false, __ATOMIC_ACQ_REL))
        return;
    receive_start(apic, __atomic_exchange_n(&box->start, 0, __ATOMIC_ACQUIRE));
    if (__atomic_exchange_n(&box->nmi, false, __ATOMIC_RELAXED))
        apic->vcpu->nmi_pending = true;
    accept(&apic->lapic, box->vector, false);
    accept(&apic->lapic, box->level, true);
}

/* INIT removes the messages that came before it and still wait. Vectors may stay: the LAPIC that it resets refuses
 * them. */
static void post_init(struct apic_mailbox *box)
{
    __atomic_store_n(&box->nmi, false, __ATOMIC_RELAXED);
    __atomic_store_n(&box->start, APIC_INIT, __ATOMIC_RELEASE);
}

/* Of several start-up IPIs the last one counts; an INIT before it counts, too. */
static void post_startup(struct apic_mailbox *box, u8 page)
{
    u32 start = __atomic_load_n(&box->start, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(&box->start, &start, (start & APIC_INIT) | APIC_STARTUP | page, false,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

static void post(struct apic *to, const struct lapic_ipi *ipi, bool level)
{
    struct apic_mailbox *box = &to->mailbox;

    switch (ipi->delivery) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST:
        __atomic_fetch_or(&(level ? box->level : box->vector)[ipi->vector / 64], BIT(ipi->vector % 64),
                          __ATOMIC_RELAXED);
        break;
    case LAPIC_NMI: __atomic_store_n(&box->nmi, true, __ATOMIC_RELAXED); break;
    case LAPIC_INIT: post_init(box); break;
    case LAPIC_STARTUP: post_startup(box, ipi->vector); break;
    default: return; /* SMI: there is no system-management mode to enter */
    }
    __atomic_store_n(&box->any, true, __ATOMIC_RELEASE);
    vcpu_wake(to->vcpu);
}

/* From within a register write of the sender's chip, on the sender's CPU. */
static void send(void *ctx, const struct lapic_ipi *ipi)
{
    struct apic *from = ctx;
    struct vm *vm = from->vcpu->vm;

    for (u32 i = 0; i < vm->nr_vcpus; i++) {
        struct apic *to = apic_of(vm->vcpu[i]);

        if (!lapic_ipi_reaches(ipi, &from->lapic, &to->lapic))
            continue;
        post(to, ipi, false);
        if (ipi->delivery == LAPIC_LOWEST)
            return; /* one target gets the message, and it may be any of them */
    }
}

/* The targets' identities are read while their own CPUs may change them: as on hardware, a message in that moment may
 * follow the old or the new one. */
bool apic_bus_send(struct apic_bus *bus, const struct lapic_ipi *message, bool level)
{
    bool reached = false;

    for (u32 i = 0; i < bus->vm->nr_vcpus; i++) {
        if (!lapic_ipi_reaches(message, NULL, &bus->apic[i].lapic))
            continue;
        post(&bus->apic[i], message, level);
        if (message->delivery == LAPIC_LOWEST)
            return true;
        reached = true;
    }
    return reached;
}

/* Acquire: a vector that has left the mailbox has reached the chip. */
static bool vector_waits(const struct apic *apic, u8 vector)
{
    u64 posted = __atomic_load_n(&apic->mailbox.vector[vector / 64], __ATOMIC_ACQUIRE);
    u32 requested = __atomic_load_n(&apic->lapic.irr[vector / 32], __ATOMIC_RELAXED);

    return (posted >> vector % 64 | requested >> vector % 32) & 1;
}

bool apic_bus_waits(const struct apic_bus *bus, const struct lapic_ipi *message)
{
    for (u32 i = 0; i < bus->vm->nr_vcpus; i++)
        if (lapic_ipi_reaches(message, NULL, &bus->apic[i].lapic) && vector_waits(&bus->apic[i], message->vector))
            return true;
    return false;
}

static u64 now(void *ctx)
{
    return timers_tsc(&platform_of(((struct apic *)ctx)->vcpu->vm)->timers);
}

/* The I/O APIC needs device_lock, which a write of the register page holds and a write of an MSR does not: it is told
 * after the write. */
static void eoi(void *ctx, u8 vector)
{
    ((struct apic *)ctx)->ended = vector;
}

/* With device_lock held. */
static void report_ended(struct apic *apic)
{
    int vector = apic->ended;

    apic->ended = -1;
    if (vector >= 0)
        irq_eoi(apic->vcpu->vm, (u8)vector);
}

/* A guest may ask for the end of time, so the sum saturates. */
static u64 deadline(void *ctx, u64 tsc)
{
    const struct vcpu *vcpu = ((struct apic *)ctx)->vcpu;
    u64 at = now(ctx), guest = vcpu_tsc(vcpu, at), left;

    if (tsc <= guest)
        return 0;
    left = guest_tsc_to_host(&vcpu->vm->tsc, tsc - guest);
    return left < LAPIC_NEVER - at ? at + left : LAPIC_NEVER;
}

static const struct lapic_env env = { .now = now, .deadline = deadline, .send = send, .eoi = eoi };

/* The 8259's request reaches only the boot processor, and only if its LINT0 lets it through. */
static bool wants_extint(const struct apic *apic)
{
    return apic->vcpu->id == 0 && irq_extint(apic->vcpu->vm) && lapic_passes_extint(&apic->lapic);
}

/* Call this before the chip's in-service state is read or, with `withdraw`, changed. */
static void settle_eoi(struct apic *apic, bool withdraw)
{
    pv_eoi_settle(&apic->pv_eoi, &apic->vcpu->vm->mem, &apic->lapic, withdraw);
}

int apic_bus_ask(struct vcpu *vcpu)
{
    return pv_eoi_ask(&apic_of(vcpu)->pv_eoi, &vcpu->vm->mem);
}

static void op_take(struct vcpu *vcpu)
{
    struct apic *apic = apic_of(vcpu);

    if (__atomic_load_n(&apic->mailbox.any, __ATOMIC_RELAXED))
        collect(apic);
    settle_eoi(apic, false);
}

static bool op_pending(const struct vcpu *vcpu)
{
    const struct apic *apic = apic_of(vcpu);

    return wants_extint(apic) || lapic_pending(&apic->lapic) >= 0;
}

static int ack_lapic(struct apic *apic)
{
    int vector = lapic_pending(&apic->lapic);

    if (vector >= 0) {
        lapic_ack(&apic->lapic, vector);
        pv_eoi_offer(&apic->pv_eoi, &apic->vcpu->vm->mem, &apic->lapic);
    }
    return vector;
}

/* The 8259 knows nothing of the local APIC's priorities, and comes first. */
static int op_ack(struct vcpu *vcpu)
{
    struct apic *apic = apic_of(vcpu);
    int vector = wants_extint(apic) ? irq_extint_ack(vcpu->vm) : -1;

    if (vector < 0)
        vector = ack_lapic(apic);
    pit_taken(&platform_of(vcpu->vm)->pit);
    return vector;
}

static bool op_called(const struct vcpu *vcpu)
{
    const struct apic_mailbox *box = &apic_of(vcpu)->mailbox;

    return __atomic_load_n(&box->start, __ATOMIC_ACQUIRE) || __atomic_load_n(&box->nmi, __ATOMIC_ACQUIRE);
}

static u64 op_deadline(struct vcpu *vcpu)
{
    return lapic_deadline(&apic_of(vcpu)->lapic);
}

static void op_tsc_changed(struct vcpu *vcpu)
{
    lapic_tsc_changed(&apic_of(vcpu)->lapic);
}

static void op_expire(struct vcpu *vcpu, u64 tsc)
{
    lapic_expire(&apic_of(vcpu)->lapic, tsc);
}

static u8 op_get_cr8(struct vcpu *vcpu)
{
    return lapic_cr8_read(&apic_of(vcpu)->lapic);
}

static void op_set_cr8(struct vcpu *vcpu, u8 value)
{
    vcpu->ask_interrupts = true;
    lapic_cr8_write(&apic_of(vcpu)->lapic, value);
}

static bool is_lapic_msr(u32 msr)
{
    return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
}

static int op_read_msr(struct vcpu *vcpu, u32 msr, u64 *value)
{
    struct apic *apic = apic_of(vcpu);

    vcpu->ask_interrupts = true; /* a read brings the timer up to date */
    if (msr == MSR_KVM_PV_EOI_EN) {
        *value = apic->pv_eoi.msr;
        return 0;
    }
    if (!is_lapic_msr(msr))
        return -ENOENT;
    settle_eoi(apic, false);
    return lapic_msr_read(&apic->lapic, msr, value);
}

static int op_write_msr(struct vcpu *vcpu, u32 msr, u64 value)
{
    struct apic *apic = apic_of(vcpu);

    vcpu->ask_interrupts = true; /* also for MSR_TSC, which moves the TSC deadline */
    if (!is_lapic_msr(msr) && msr != MSR_KVM_PV_EOI_EN)
        return -ENOENT;
    settle_eoi(apic, msr != MSR_TSC_DEADLINE);
    if (msr == MSR_KVM_PV_EOI_EN)
        return pv_eoi_write_msr(&apic->pv_eoi, &vcpu->vm->mem, value);

    int err = lapic_msr_write(&apic->lapic, msr, value);

    if (apic->ended >= 0) {
        spin_lock(&vcpu->vm->device_lock);
        report_ended(apic);
        spin_unlock(&vcpu->vm->device_lock);
    }
    return err;
}

static const struct interrupt_ops interrupt_ops = {
    .take = op_take,
    .pending = op_pending,
    .ack = op_ack,
    .called = op_called,
    .deadline = op_deadline,
    .expire = op_expire,
    .get_cr8 = op_get_cr8,
    .set_cr8 = op_set_cr8,
    .read_msr = op_read_msr,
    .write_msr = op_write_msr,
    .tsc_changed = op_tsc_changed,
};

static void apic_bus_io(struct device *device, unsigned region, struct io *io)
{
    struct apic *apic = apic_of(io->vcpu);
    struct lapic *lapic = &apic->lapic;

    (void)device;
    (void)region;
    settle_eoi(apic, io->write);
    if (io->write) {
        lapic_mmio_write(lapic, io->off, io->size, io->val);
        report_ended(apic);
    } else if (io->size < 4) {
        /* Undefined by the manual; like processors, give those bytes of the register. */
        io->val = lapic_mmio_read(lapic, align_down(io->off, 4), 4) >> (8 * (io->off % 4));
    } else {
        io->val = lapic_mmio_read(lapic, io->off, io->size);
    }
}

/* As firmware leaves it: the boot processor takes the 8259's interrupts. */
static void virtual_wire(struct apic_bus *bus)
{
    bus->apic[0].lapic.lvt[LVT_LINT0] = LAPIC_EXTINT << 8;
}

static void apic_bus_reset(struct device *device)
{
    struct apic_bus *bus = (struct apic_bus *)device;

    for (u32 i = 0; i < bus->vm->nr_vcpus; i++) {
        memset(&bus->apic[i].mailbox, 0, sizeof(bus->apic[i].mailbox));
        bus->apic[i].pv_eoi = (struct pv_eoi){ 0 };
        lapic_reset(&bus->apic[i].lapic);
    }
    virtual_wire(bus);
}

static void apic_bus_state(struct device *device, struct codec *c)
{
    struct apic_bus *bus = (struct apic_bus *)device;

    for (u32 i = 0; i < bus->vm->nr_vcpus; i++) {
        if (!c->restoring)
            collect(&bus->apic[i]);
        lapic_state(&bus->apic[i].lapic, c);
        pv_eoi_state(&bus->apic[i].pv_eoi, &bus->vm->mem, c);
    }
}

static const struct device_ops ops = {
    .name = "apic",
    .version = VERSION,
    .io = apic_bus_io,
    .reset = apic_bus_reset,
    .state = apic_bus_state,
};

void apic_bus_shift(struct apic_bus *bus, s64 ticks)
{
    for (u32 i = 0; i < bus->vm->nr_vcpus; i++)
        lapic_shift(&bus->apic[i].lapic, ticks);
}

int apic_bus_init(struct apic_bus *bus, struct vm *vm)
{
    bus->device.ops = &ops;
    bus->vm = vm;
    bus->apic = calloc(vm->nr_vcpus, sizeof(*bus->apic));
    if (!bus->apic)
        return -ENOMEM;
    for (u32 i = 0; i < vm->nr_vcpus; i++) {
        struct apic *apic = &bus->apic[i];

        apic->vcpu = vm->vcpu[i];
        apic->ended = -1;
        lapic_init(&apic->lapic, i, i == 0, clock_tsc_khz(), &env, apic);
        vm->vcpu[i]->interrupts = &interrupt_ops;
        vm->vcpu[i]->interrupt_data = apic;
    }
    virtual_wire(bus);
    vm_add_device(vm, &bus->device);
    return bus_add(&vm->mmio, LAPIC_MMIO_BASE, REGISTER_PAGE_SIZE, &bus->device, 0);
}

void apic_bus_fini(struct apic_bus *bus)
{
    free(bus->apic);
}

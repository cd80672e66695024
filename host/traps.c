/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Traps: the IDT, what an exception in the hypervisor means, and host interrupts.
 *
 * An exception is either expected (host/fixup.h), or a panic. A hit of the guard gap below a stack arrives as #PF
 * while there is still room for its frame, else as #DF with CR2 in the gap: both are named for what they are.
 */
#include "host/traps.h"

#include <stdio.h>

#include "host/apic.h"
#include "host/asm.h"
#include "host/context.h"
#include "host/cpu.h"
#include "host/smp.h"
#include "host/trap_entry.h"
#include "host/x86.h"
#define LOG_PREFIX "traps"
#include "host/log.h"
#include "host/panic.h"
#include "host/layout.h"

#define NR_VECTORS 256
#define FIRST_IRQ 0x20
#define NEVER_EXPECTED (BIT(VECTOR_NMI) | BIT(VECTOR_DF) | BIT(VECTOR_MC))
#define GATE_INTERRUPT 0x8E /* present, DPL 0, 64-bit interrupt gate */

_Static_assert(TRAP_ERROR_CODES == VECTORS_WITH_ERROR_CODE, "trap_entry.S pushes a 0 where the CPU pushes nothing");
_Static_assert(sizeof(struct trap_frame) == 22 * 8 && offsetof(struct trap_frame, rip) == 17 * 8,
               "as trap_entry.S pushes");

/* SDM 3A "64-Bit Mode IDT". */
struct gate {
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_middle;
    u32 offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "gate layout");

static struct gate idt[NR_VECTORS];
static void (*irq_handlers[NR_VECTORS])(void);

static const char *const names[] = {
    [VECTOR_DE] = "#DE divide error",
    [VECTOR_DB] = "#DB debug",
    [VECTOR_NMI] = "NMI",
    [VECTOR_BP] = "#BP breakpoint",
    [VECTOR_OF] = "#OF overflow",
    [VECTOR_BR] = "#BR bound range",
    [VECTOR_UD] = "#UD invalid opcode",
    [VECTOR_NM] = "#NM no FPU",
    [VECTOR_DF] = "#DF double fault",
    [VECTOR_TS] = "#TS invalid TSS",
    [VECTOR_NP] = "#NP segment not present",
    [VECTOR_SS] = "#SS stack segment",
    [VECTOR_GP] = "#GP general protection",
    [VECTOR_PF] = "#PF page fault",
    [VECTOR_MF] = "#MF x87 error",
    [VECTOR_AC] = "#AC alignment check",
    [VECTOR_MC] = "#MC machine check",
    [VECTOR_XM] = "#XM SIMD error",
    [VECTOR_CP] = "#CP control protection",
};

static const u8 ists[NR_VECTORS] = { [VECTOR_NMI] = IST_NMI, [VECTOR_DF] = IST_DF, [VECTOR_MC] = IST_MC };

void traps_init(void)
{
    for (unsigned i = 0; i < NR_VECTORS; i++) {
        u64 entry = (u64)trap_stubs + i * TRAP_STUB_SIZE;

        idt[i] = (struct gate){
            .offset_low = (u16)entry,
            .offset_middle = (u16)(entry >> 16),
            .offset_high = (u32)(entry >> 32),
            .selector = SELECTOR_CODE,
            .ist = ists[i],
            .type = GATE_INTERRUPT,
        };
    }
}

void traps_load(void)
{
    struct descriptor_pointer pointer = { .limit = sizeof(idt) - 1, .base = (u64)idt };

    __asm__ volatile("lidt %0" : : "m"(pointer));
}

/* The meaning of a page fault's error code, in words. */
static void page_fault_decode(u64 error, char *text, size_t size)
{
    snprintf(text, size, "%s%s of %s page%s", error & PF_USER ? "user " : "",
             error & PF_FETCH   ? "fetch"
             : error & PF_WRITE ? "write"
                                : "read",
             error & PF_PRESENT ? "a protected" : "an absent", error & PF_RSVD ? ", reserved bit set" : "");
}

static bool is_guard_hit(const struct trap_frame *frame)
{
    u64 address = read_cr2();

    return (frame->vector == VECTOR_PF || frame->vector == VECTOR_DF) && address >= STACKS_BASE &&
           address < DEVICES_BASE;
}

const char *trap_name(u64 vector)
{
    return vector < ARRAY_SIZE(names) && names[vector] ? names[vector] : "exception";
}

static void __attribute__((noreturn)) trap_panic(const struct trap_frame *frame)
{
    const char *name = trap_name(frame->vector);
    char text[64];

    if (is_guard_hit(frame))
        panic_trap(frame, "stack overflow on cpu%u: %s at %lx", this_cpu()->index, name, read_cr2());
    if (frame->vector == VECTOR_PF) {
        page_fault_decode(frame->error, text, sizeof(text));
        panic_trap(frame, "%s: %s at %lx", name, text, read_cr2());
    }
    panic_trap(frame, "%s (vector %lu), error %lx", name, frame->vector, frame->error);
}

static u64 fixup_address(const s32 *distance)
{
    return (u64)distance + (u64)(s64)*distance;
}

/* Was it an instruction that may fault? Uses nothing of this CPU: around VMRUN, GS is the guest's. */
static bool fixup_apply(struct trap_frame *frame)
{
    for (const struct fixup *fixup = __fixups_start; fixup < __fixups_end; fixup++)
        if (fixup_address(&fixup->at) == frame->rip) {
            frame->rip = fixup_address(&fixup->resume);
            frame->rax = frame->vector;
            return true;
        }
    return false;
}

static void irq_handle_by(void (*handler)(void))
{
    handler_begins();
    handler();
    handler_ends();
}

/* IRQ_TIMER and IRQ_KICK do their work by waking the CPU. */
static void irq_handle(u8 vector)
{
    if (vector == IRQ_SPURIOUS) /* has no bit in service: no EOI (SDM 3A "Spurious Interrupt") */
        return;
    assert(!this_cpu()->in_fpu);
    trace("irq", 0, vector);
    if (vector == IRQ_TIMER)
        apic_timer_fired();
    else if (irq_handlers[vector])
        irq_handle_by(irq_handlers[vector]);
    else if (vector != IRQ_KICK)
        pr_warn("interrupt %02x has no handler", vector);
    apic_eoi();
}

void trap_handle(struct trap_frame *frame)
{
    if (frame->vector >= FIRST_IRQ) {
        irq_handle((u8)frame->vector);
        return;
    }
    if (frame->vector == VECTOR_NMI) /* another CPU's panic, or the machine's alarm: then ours */
        smp_stop_if_asked();
    if ((BIT(frame->vector) & NEVER_EXPECTED) || !fixup_apply(frame))
        trap_panic(frame);
}

void irq_register(u8 vector, void (*handler)(void))
{
    assert(vector >= FIRST_IRQ && vector < IRQ_SPURIOUS && !irq_handlers[vector]);
    irq_handlers[vector] = handler;
}

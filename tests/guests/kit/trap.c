/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions and interrupts. All gates are interrupt gates: a handler runs with interrupts off unless it enables them.
 * #DF and NMI have stacks of their own, so that a test may ruin its stack and survive.
 */
#include "tests/guests/kit/trap.h"

#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "tests/guests/kit/vectors.h"
#include "host/bits.h"

_Static_assert(sizeof(struct tss) == 104, "SDM 3A \"64-Bit TSS\"");
_Static_assert(offsetof(struct trap_cpu, io_map) == offsetof(struct trap_cpu, tss) + sizeof(struct tss), "one segment");
_Static_assert(sizeof(struct gate) == 16, "SDM 3A \"64-Bit Mode IDT\"");

/* The pair of 8259 that a PC has: masked, for its timer would come as vector 8. Where there is none, nothing happens.
 */
#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK 0xA1

#define TSS_AVAILABLE 0x89ULL

struct gate kit_idt[256];
static struct trap_cpu boot_cpu; /* its GDT is kit_gdt */
static trap_handler *handlers[256];
static struct fault fault;
static bool catching;

static void gate_set(u8 vector, u8 type, u8 ist)
{
    u64 offset = (u64)(trap_stubs + vector * KIT_STUB_SIZE);

    kit_idt[vector] = (struct gate){
        .offset_low = (u16)offset,
        .offset_mid = (u16)(offset >> 16),
        .offset_high = (u32)(offset >> 32),
        .selector = KIT_CS64,
        .ist = ist,
        .type = type,
    };
}

void trap_load(void)
{
    struct table_pointer idtr = { sizeof(kit_idt) - 1, (u64)kit_idt };

    asm volatile("lidt %0" : : "m"(idtr));
}

/* Point the processor at cpu's stacks, by the TSS slots of the GDT that it has loaded. */
static void tss_load(struct trap_cpu *cpu, u64 *gdt)
{
    struct tss *tss = &cpu->tss;
    u64 base = (u64)tss;

    tss->rsp[0] = (u64)cpu->stacks[1];
    tss->ist[0] = (u64)cpu->stacks[2];
    tss->ist[1] = (u64)cpu->stacks[3];
    tss->iomap = sizeof(*tss);
    memset(cpu->io_map, 0xFF, sizeof(cpu->io_map));
    gdt[KIT_TSS / 8] = (sizeof(*tss) + sizeof(cpu->io_map) - 1) | (base & BITS(23, 0)) << 16 | TSS_AVAILABLE << 40 |
                       (base & BITS(31, 24)) << 32;
    gdt[KIT_TSS / 8 + 1] = base >> 32;
    asm volatile("ltr %w0" : : "r"(KIT_TSS) : "memory");
}

void trap_init(void)
{
    outb(PIC_MASTER_MASK, 0xFF);
    outb(PIC_SLAVE_MASK, 0xFF);
    for (unsigned vector = 0; vector < 256; vector++)
        gate_set((u8)vector, GATE_INTERRUPT, 0);
    gate_set(X86_DF, GATE_INTERRUPT, 1);
    gate_set(X86_NMI, GATE_INTERRUPT, 2);
    gate_set(FAULT_RETURN, GATE_INTERRUPT | GATE_DPL3, 0);
    trap_load();
    tss_load(&boot_cpu, kit_gdt);
}

void trap_init_cpu(struct trap_cpu *cpu)
{
    struct table_pointer gdtr = { sizeof(cpu->gdt) - 1, (u64)cpu->gdt };

    memcpy(cpu->gdt, kit_gdt, sizeof(cpu->gdt));
    asm volatile("lgdt %0" : : "m"(gdtr));
    trap_load();
    tss_load(cpu, cpu->gdt);
}

void trap_ports_user(u16 first, u16 count)
{
    for (u32 port = first; port < (u32)first + count; port++)
        boot_cpu.io_map[port / 8] &= (u8) ~(1 << port % 8);
}

void trap_handle(u8 vector, trap_handler *handler)
{
    handlers[vector] = handler;
}

static _Noreturn void trap_unexpected(const struct trap_frame *f)
{
    kprintf("unexpected vector %lu error 0x%lx cr2 0x%lx\n", f->vector, f->error, read_cr2());
    kprintf("rip %lx cs %lx rflags %lx rsp %lx ss %lx\n", f->rip, f->cs, f->rflags, f->rsp, f->ss);
    kprintf("rax %lx rbx %lx rcx %lx rdx %lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    kprintf("rsi %lx rdi %lx rbp %lx cr3 %lx\n", f->rsi, f->rdi, f->rbp, read_cr3());
    report("no unexpected exception", false);
    report_end();
}

void trap_dispatch(struct trap_frame *frame)
{
    trap_handler *handler = handlers[frame->vector];

    if (handler) {
        handler(frame);
        return;
    }
    if (!catching)
        trap_unexpected(frame);
    catching = false;
    fault.vector = frame->vector == FAULT_RETURN ? FAULT_NONE : (int)frame->vector;
    fault.error = frame->error;
    fault.cr2 = frame->vector == X86_PF ? read_cr2() : 0;
    fault.rip = frame->rip;
    frame->rip = (u64)fault_resume;
    frame->rsp = fault_stack;
    frame->rflags = RFLAGS_FIXED;
    frame->cs = KIT_CS64;
    frame->ss = KIT_DS;
}

static struct fault catch (void (*call)(void (*fn)(u64), u64), void (*fn)(u64), u64 arg)
{
    fault = (struct fault){ .vector = FAULT_NONE };
    catching = true;
    call(fn, arg);
    catching = false;
    return fault;
}

struct fault fault_catch(void (*fn)(u64 arg), u64 arg)
{
    return catch (fault_call, fn, arg);
}

struct fault fault_catch_user(void (*fn)(u64 arg), u64 arg)
{
    struct fault result;

    page_image_user(true);
    result = catch (fault_call_user, fn, arg);
    page_image_user(false);
    return result;
}

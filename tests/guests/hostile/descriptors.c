/* SPDX-License-Identifier: BSD-2-Clause */
/* Bad selectors, bad descriptors, bad gates, and addresses that are none. */
#include "tests/guests/hostile/hostile.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/modes.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

#define BEYOND_GDT 0x1000
#define END_4G 0x100000000ULL
#define NON_CANONICAL 0x0000800000000000ULL
#define DATA_NOT_PRESENT 0x00cf13000000ffffULL

#define VECTOR 0x70
#define ERROR_IDT 2 /* in an error code: the index is of the IDT */
#define ERROR_GATE (VECTOR * 8 + ERROR_IDT)

static void load_ds(u64 selector)
{
    asm volatile("mov %w0, %%ds" : : "r"(selector));
}

static void load_ss(u64 selector)
{
    asm volatile("mov %w0, %%ss; mov %w1, %%ss" : : "r"(selector), "r"(KIT_DS));
}

/* Not with null: QEMU's TCG takes it for a TSS and aborts at the next interrupt. */
static void load_tr(u64 selector)
{
    asm volatile("ltr %w0" : : "r"(selector));
}

static void load_ldt(u64 selector)
{
    asm volatile("lldt %w0" : : "r"(selector));
}

static void far_return(u64 selector)
{
    asm volatile("push %0; push $1f; lretq; 1:" : : "r"(selector));
}

static void interrupt_return(u64 selector)
{
    asm volatile("push %1; push %%rsp; push $2; push %0; push $1f; iretq; 1:" : : "r"(selector), "r"((u64)KIT_DS));
}

/* In ring 3. */
static void load_null_ss(u64 unused)
{
    (void)unused;
    asm volatile("mov %w0, %%ss" : : "r"(0));
}

void attack_segments(void)
{
    kit_gdt[KIT_SCRATCH / 8] = DATA_NOT_PRESENT;
    report_error("DS beyond the GDT", fault_catch(load_ds, BEYOND_GDT), X86_GP, BEYOND_GDT);
    report_error("DS not present", fault_catch(load_ds, KIT_SCRATCH), X86_NP, KIT_SCRATCH);
    report_error("DS of a TSS", fault_catch(load_ds, KIT_TSS), X86_GP, KIT_TSS);
    report_error("SS not present", fault_catch(load_ss, KIT_SCRATCH), X86_SS, KIT_SCRATCH);
    report_error("SS of code", fault_catch(load_ss, KIT_CS64), X86_GP, KIT_CS64);
    report_error("SS of another ring", fault_catch(load_ss, KIT_USER_DS), X86_GP, KIT_USER_DS & ~3);
    report_fault("null SS in ring 0", fault_catch(load_ss, 0), FAULT_NONE);
    report_error("null SS in ring 3", fault_catch_user(load_null_ss, 0), X86_GP, 0);
    report_error("TR of a busy TSS", fault_catch(load_tr, KIT_TSS), X86_GP, KIT_TSS);
    report_error("LDTR of code", fault_catch(load_ldt, KIT_CS64), X86_GP, KIT_CS64);
    report_error("far return to data", fault_catch(far_return, KIT_DS), X86_GP, KIT_DS);
    report_error("far return to null", fault_catch(far_return, 0), X86_GP, 0);
    report_error("iret to data", fault_catch(interrupt_return, KIT_DS), X86_GP, KIT_DS);
    report_error("iret beyond the GDT", fault_catch(interrupt_return, BEYOND_GDT), X86_GP, BEYOND_GDT);
    load_ds(KIT_DS);
}

static void interrupt(u64 unused)
{
    (void)unused;
    asm volatile("int %0" : : "i"(VECTOR));
}

static void interrupt_short_idt(u64 unused)
{
    struct table_pointer idtr = { VECTOR * sizeof(struct gate) - 1, (u64)kit_idt };

    (void)unused;
    asm volatile("lidt %0; int %1" : : "m"(idtr), "i"(VECTOR));
}

static void undefined(u64 unused)
{
    (void)unused;
    asm volatile("ud2");
}

/* As report_error; QEMU's TCG, with or without a hypervisor in it, puts twice the index into the error code. */
static void report_gate(const char *name, struct fault f, int vector)
{
    if (f.error == VECTOR * 16 + ERROR_IDT)
        f.error = ERROR_GATE;
    report_error(name, f, vector, ERROR_GATE);
}

void attack_gates(void)
{
    struct gate saved = kit_idt[VECTOR], ud = kit_idt[X86_UD];

    kit_idt[VECTOR].type = GATE_INTERRUPT & 0x7F;
    report_gate("a gate not present", fault_catch(interrupt, 0), X86_NP);
    kit_idt[VECTOR].type = 0x85;
    report_gate("a gate of a task", fault_catch(interrupt, 0), X86_GP);
    kit_idt[VECTOR] = saved;
    kit_idt[VECTOR].selector = 0;
    report_error("a gate to null", fault_catch(interrupt, 0), X86_GP, 0);
    kit_idt[VECTOR].selector = KIT_DS;
    report_error("a gate to data", fault_catch(interrupt, 0), X86_GP, KIT_DS);
    kit_idt[VECTOR] = saved;
    report_gate("a gate beyond the IDT", fault_catch(interrupt_short_idt, 0), X86_GP);
    trap_load();

    kit_idt[X86_UD].type = GATE_INTERRUPT & 0x7F;
    kit_idt[X86_NP].type = GATE_INTERRUPT & 0x7F;
    report_error("a fault whose fault has no gate", fault_catch(undefined, 0), X86_DF, 0);
    kit_idt[X86_UD] = ud;
    kit_idt[X86_NP].type = GATE_INTERRUPT;
}

static void do_read(u64 address)
{
    (void)*(volatile u64 *)address;
}

static void do_jump(u64 address)
{
    ((void (*)(void))address)();
}

static void do_push(u64 address)
{
    asm volatile("mov %0, %%rsp; push %%rax" : : "r"(address) : "memory");
}

static void misaligned(u64 unused)
{
    static u64 words[2];

    (void)unused;
    asm volatile("pushfq; orq %0, (%%rsp); popfq; mov %1, %%eax" : : "i"(RFLAGS_AC), "m"(*((u8 *)words + 1)) : "rax");
}

static u64 stepped_to;

static void step_once(struct trap_frame *frame)
{
    stepped_to = frame->rip;
    frame->rflags &= ~(u64)RFLAGS_TF;
}

/* Single-stepped, a jump that ends at 4 GiB goes back to a RET. */
static void step_at_4g(void)
{
    /* ret; here: pushf; orl $RFLAGS_TF, (%esp); popf; jmp to the ret */
    const u8 code[] = { 0xC3, 0x9C, 0x81, 0x0C, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9D, 0xEB, 0xF4 };

    memcpy((void *)(END_4G - sizeof(code)), code, sizeof(code));
    trap_handle(X86_DB, step_once);
    compat_call((void *)(END_4G - sizeof(code) + 1));
    trap_handle(X86_DB, NULL);
    report_equal("a jump back at the end of 4 GiB, single-stepped", stepped_to, END_4G - sizeof(code));
}

/* A program of 32 bits whose last instruction, one that exits, ends at 4 GiB: the next one is at 0. */
static void wrap_at_4g(void)
{
    const u8 code[] = { 0x31, 0xC0, 0x0F, 0xA2 }, ret = 0xC3; /* xor %eax, %eax; cpuid */
    volatile u8 *zero = (u8 *)PAGING_TEST;

    page_map(END_4G - MiB(2), MiB(4), LEVEL_2M, PTE_P | PTE_W);
    page_map(PAGING_TEST, 0, LEVEL_4K, PTE_P | PTE_W);
    memcpy((void *)(END_4G - sizeof(code)), code, sizeof(code));
    u8 saved = *zero;

    *zero = ret;
    report_equal("CPUID at the end of 4 GiB", compat_call((void *)(END_4G - sizeof(code))), cpuid(0, 0).eax);
    *zero = saved;
    step_at_4g();
    page_unmap(PAGING_TEST, LEVEL_4K);
    page_unmap(END_4G - MiB(2), LEVEL_2M);
}

void attack_addresses(void)
{
    struct fault f;

    report_error("a read", fault_catch(do_read, NON_CANONICAL), X86_GP, 0);
    if (on_godwit("CPUID at the end of 4 GiB"))
        wrap_at_4g();
    report_error("a jump", fault_catch(do_jump, NON_CANONICAL), X86_GP, 0);
    report_error("a stack that cannot take its own fault", fault_catch(do_push, NON_CANONICAL), X86_DF, 0);
    write_cr0(read_cr0() | CR0_AM);
    f = fault_catch_user(misaligned, 0);
    report("a misaligned read in ring 3", f.vector == X86_AC || f.vector == FAULT_NONE); /* QEMU's TCG does not check */
    write_cr0(read_cr0() & ~(u64)CR0_AM);
}

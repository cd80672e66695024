/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Panic: one CPU reports, all others stop, the machine ends.
 *
 * Nothing here trusts what may be broken: no allocation, no lock after log_break_lock(), a chain of frames is
 * followed only inside known stacks, and a panic inside the panic ends the machine with one line.
 */
#include "host/panic.h"

#include "host/asm.h"
#include "host/cpu.h"
#include "host/smp.h"
#include "host/traps.h"
#include "host/bits.h"
#define LOG_PREFIX "panic"
#include "host/log.h"
#include "host/symbols.h"
#include "host/trace.h"
#include "host/machine_end.h"
#include "host/image.h"

#define BACKTRACE_DEPTH 24
#define TRACE_TAIL 12 /* events of each CPU */
#define NOBODY ~0U

static u32 owner = NOBODY; /* index of the CPU that panics; atomic */

/* An x86-64 stack frame as -fno-omit-frame-pointer leaves it. */
struct stack_frame {
    u64 rbp, rip;
};

/* Returns true if this is the first panic; doesn't return on other CPUs. */
static bool panic_is_first(void)
{
    u32 nobody = NOBODY, self = this_cpu()->index;

    interrupts_off();
    if (__atomic_compare_exchange_n(&owner, &nobody, self, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return true;
    if (nobody != self) {
        smp_stop_if_asked();
        halt_forever();
    }
    return false;
}

/*
 * An instruction's address; or with length 1, a return address: the call before it may be its function's last
 * instruction.
 */
static void print_address(u64 address, u64 length)
{
    u64 offset;
    const char *name = symbol_find(address - length, &offset);

    if (name)
        pr_err("  %016lx %s+0x%lx", address, name, offset + length);
    else
        pr_err("  %016lx", address);
}

static void print_chain(u64 rbp)
{
    for (int i = 0; i < BACKTRACE_DEPTH && is_aligned(rbp, 8) && cpu_stack_contains(this_cpu(), rbp); i++) {
        const struct stack_frame *frame = (const struct stack_frame *)rbp;

        if (frame->rip == 0)
            return;
        print_address(frame->rip, 1);
        if (frame->rbp <= rbp) /* callers' frames lie above; anything else is damage, or the end */
            return;
        rbp = frame->rbp;
    }
}

static void print_registers(const struct trap_frame *f)
{
    pr_err("rip %04lx:%016lx rflags %08lx rsp %04lx:%016lx", f->cs, f->rip, f->rflags, f->ss, f->rsp);
    pr_err("rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
    pr_err("rsi %016lx rdi %016lx rbp %016lx r8  %016lx", f->rsi, f->rdi, f->rbp, f->r8);
    pr_err("r9  %016lx r10 %016lx r11 %016lx r12 %016lx", f->r9, f->r10, f->r11, f->r12);
    pr_err("r13 %016lx r14 %016lx r15 %016lx", f->r13, f->r14, f->r15);
}

static void print_control_registers(void)
{
    pr_err("cr0 %08lx cr2 %016lx cr3 %lx cr4 %06lx", read_cr0(), read_cr2(), read_cr3(), read_cr4());
}

/* The message comes first: it is out even if the rest fails. */
static void panic_begin(const char *format, va_list args)
{
    bool first = panic_is_first();

    if (first)
        smp_stop_others();
    log_break_lock();
    log_vline(LOG_ERR, LOG_PREFIX, format, args);
    if (!first) {
        pr_err("that was inside another panic; giving up");
        machine_end(END_PANIC);
    }
}

/*
 * Where the trap hit, then who called that. After a call of a wild pointer the caller is the word on top of the
 * stack.
 */
static void print_trap_chain(const struct trap_frame *f)
{
    const u64 *top = (const u64 *)f->rsp;
    bool wild = f->rip < (u64)__image_start || f->rip >= (u64)__text_end;

    print_address(f->rip, 0);
    if (wild && is_aligned(f->rsp, 8) && cpu_stack_contains(this_cpu(), f->rsp))
        print_address(*top, 1);
    print_chain(f->rbp);
}

static void __attribute__((noreturn)) panic_finish(void)
{
    for (u32 i = 0; i < cpu_count(); i++) {
        pr_err("last events of cpu%u:", i);
        trace_dump(&cpu_at(i)->trace, TRACE_TAIL);
    }
    machine_end(END_PANIC);
}

void panic(const char *format, ...)
{
    u64 rip = (u64)__builtin_return_address(0);
    const struct stack_frame *frame = __builtin_frame_address(0);
    va_list args;

    va_start(args, format);
    panic_begin(format, args);
    va_end(args);
    pr_err("rip %016lx rsp %016lx rbp %016lx rflags %08lx", rip, (u64)(frame + 1), frame->rbp, read_rflags());
    print_control_registers();
    pr_err("called from:");
    print_address(rip, 1);
    print_chain(frame->rbp);
    panic_finish();
}

void panic_trap(const struct trap_frame *frame, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    panic_begin(format, args);
    va_end(args);
    print_registers(frame);
    print_control_registers();
    pr_err("at, and called from:");
    print_trap_chain(frame);
    panic_finish();
}

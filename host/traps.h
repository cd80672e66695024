/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Traps and host interrupts.
 *
 * The hypervisor runs with interrupts off. Host interrupts are taken at two points only, wait_for_interrupt() and
 * take_interrupts(). The run loop calls both on the CPU's own stack and without a lock, so a handler may assume that
 * nothing is half done; a handler must be short and take no lock. NMI, #DF and #MC have stacks of their own (IST). Any
 * other exception inside the hypervisor is our bug and causes a panic, except at instructions that load a guest's state
 * (host/fixup.h).
 */
#pragma once

#include "host/types.h"

/* The registers in the order in which the entry stubs push them. */
struct trap_frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u64 vector, error;
    u64 rip, cs, rflags, rsp, ss;
};

/* Host interrupt vectors. */
#define IRQ_TIMER 0xE0  /* LAPIC timer: end of a slice or a deadline */
#define IRQ_KICK 0xE1   /* another CPU wants this one out of its guest */
#define IRQ_UPLINK 0xE2 /* a network card of the host has something for us */
#define IRQ_SERIAL 0xE3 /* the console has received a byte */
#define IRQ_SPURIOUS 0xFF

/* Fill the IDT. Once, on the boot processor. */
void traps_init(void);

/* Load the IDT on this CPU (called by cpu_init). */
void traps_load(void);

/*
 * Call handler for this vector (0x20..0xFE) on every CPU; EOI is sent after the handler returns. A vector has one
 * handler; registering a second is a bug. Boot processor, before other CPUs start or while the vector is not in use.
 */
void irq_register(u8 vector, void (*handler)(void));

/* The exception's name, such as "#GP general protection". */
const char *trap_name(u64 vector);

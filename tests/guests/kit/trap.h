/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions and interrupts: handlers by vector, and code that is expected to fault. */
#pragma once

#include "tests/guests/kit/x86.h"
#include "host/types.h"

/* As trap_common (vectors.S) leaves it on the stack. */
struct trap_frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    u64 vector, error;
    u64 rip, cs, rflags, rsp, ss;
};

/* May change the frame: that is where the interrupted code goes on. Runs with interrupts off. */
typedef void trap_handler(struct trap_frame *frame);

/* A gate of the long-mode IDT. */
struct gate {
    u16 offset_low, selector;
    u8 ist, type; /* type: present, DPL, kind */
    u16 offset_mid;
    u32 offset_high, reserved;
};

#define GATE_INTERRUPT 0x8E
#define GATE_DPL3 0x60

/* For lgdt, lidt and their stores. */
struct __attribute__((packed)) table_pointer {
    u16 limit;
    u64 base;
};

extern struct gate kit_idt[256];
extern u64 kit_gdt[KIT_GDT_SLOTS];

struct __attribute__((packed)) tss {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3, iomap;
};

#define TRAP_STACK_SIZE 8192
#define TRAP_PORTS 0x400 /* that ring 3 can be given */

/* What each processor needs of its own: a GDT for its TSS, and the stacks that this names. */
struct trap_cpu {
    u64 gdt[KIT_GDT_SLOTS];
    struct tss tss;
    u8 io_map[TRAP_PORTS / 8 + 1]; /* right behind the TSS, a byte of ones behind it (SDM 1 "I/O Permission Bit Map") */
    u8 stacks[3][TRAP_STACK_SIZE] __attribute__((aligned(16))); /* from ring 3, #DF, NMI */
};

#define FAULT_NONE (-1)

/* What ended a function run by fault_catch. */
struct fault {
    int vector; /* FAULT_NONE: it returned */
    u64 error;
    u64 cr2; /* page faults only, else 0 */
    u64 rip;
};

/* Load the IDT and the TSS. Called once, by kit_main. */
void trap_init(void);

/* Make a further processor take its traps; handlers and IDT are those of all. On that processor. */
void trap_init_cpu(struct trap_cpu *cpu);

/* Load the IDTR with kit_idt: for tests that loaded something else. */
void trap_load(void);

/* Give ring 3 of the first processor the ports [first, first + count), all below TRAP_PORTS. */
void trap_ports_user(u16 first, u16 count);

/* The handler of a vector from now on; NULL: none, which makes an occurrence outside fault_catch fatal. */
void trap_handle(u8 vector, trap_handler *handler);

/*
 * Run fn(arg), which is expected to fault, and say how it ended. A vector with a handler is not caught.
 * Everything but the stack and the control flow stays as fn left it. No nesting.
 */
struct fault fault_catch(void (*fn)(u64 arg), u64 arg);

/* The same with fn in ring 3, where it may call no kit function that uses privileged instructions. */
struct fault fault_catch_user(void (*fn)(u64 arg), u64 arg);

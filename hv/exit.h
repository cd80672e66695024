/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exits, in two stages: a backend decodes the vendor's reason into struct exit; a neutral table (exit.c) acts on it.
 * The table's names are the names of the counters. docs/exits.md says why each is intercepted.
 */
#pragma once

#include "host/types.h"

struct vcpu;

enum exit_kind {
    EXIT_INTERRUPT, /* a host interrupt is pending; its handler takes it */
    EXIT_PREEMPT,   /* the slice is over (preemption timer) */
    EXIT_NMI,       /* a host NMI has been taken */
    EXIT_WINDOW,    /* the guest can take an interrupt now */
    EXIT_REENTER,   /* the backend has done all that was needed: just enter again */
    EXIT_CPUID,
    EXIT_HLT,
    EXIT_IO,    /* u.io */
    EXIT_RDMSR, /* index in RCX */
    EXIT_WRMSR,
    EXIT_CR, /* u.cr */
    EXIT_XSETBV,
    EXIT_INVALIDATE, /* INVD, WBINVD: caches are coherent, so nothing is done */
    EXIT_NPF,        /* u.npf: nested page fault */
    EXIT_LOG_FULL,   /* the processor's buffer of written pages was full, and is empty again */
    EXIT_UNDEFINED,  /* an instruction that we do not offer: #UD */
    EXIT_PROTECTED,  /* an instruction or operand that faults by policy: #GP(0) */
    EXIT_TRIPLE_FAULT,
    EXIT_TASK_SWITCH,  /* hardware task switch: not supported */
    EXIT_ENTRY_FAILED, /* the processor refused the guest state: u.raw */
    EXIT_ENTRY_FAULT,  /* the entry itself raised an exception: u.raw.code is its vector */
    EXIT_UNKNOWN,      /* a reason that we never asked for: u.raw */
    NR_EXITS,
};

struct exit {
    enum exit_kind kind;
    u8 len; /* bytes of the instruction that caused it; 0 if no instruction did */
    union {
        struct {
            u16 port;
            u8 size; /* 1, 2, 4 */
            bool in;
            bool string; /* INS, OUTS: the fields below describe the memory operand */
            bool rep;
            u8 addr_size; /* bytes: 2, 4, 8 */
            u8 seg;       /* enum seg of OUTS' source; INS is always ES */
        } io;
        struct {
            u8 cr;      /* 0, 3, 4 or 8 */
            bool write; /* CLTS and LMSW arrive as writes of the resulting value */
            u8 gpr;     /* the register that a read goes to */
            u64 value;  /* the value to write */
        } cr;
        struct {
            gpa_t gpa;
            bool write, fetch;
            bool walk; /* the access was to a guest page-table entry, not the final one */
        } npf;
        struct {
            u64 code; /* VT-x: basic exit reason or instruction error; AMD-V: EXITCODE */
            u64 info[2];
        } raw;
    } u;
};

/*
 * The table of kinds: names, for counters and traces, and what acts on vcpu->exit. The result is in the vcpu: its RIP
 * has moved, an event is to be injected, it has halted, or its VM has stopped. On the vcpu's CPU, after backend->run.
 */
extern const struct exit_handler {
    const char *name;
    void (*handle)(struct vcpu *vcpu);
} exit_handlers[NR_EXITS];

/* The handlers that are longer than a few lines. Only the table calls them. */
void exit_io(struct vcpu *vcpu);     /* exit_io.c */
void exit_cr(struct vcpu *vcpu);     /* exit_cr.c */
void exit_xsetbv(struct vcpu *vcpu); /* exit_cr.c */
void exit_npf(struct vcpu *vcpu);    /* exit_npf.c */

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's console: a 16550 at the PC's first serial port. The guest's output appears in the log, line by line, under
 * the guest's name, and is kept in a ring for readers. Input waits in a queue until the guest takes it.
 */
#pragma once

#include "hv/bus.h"
#include "dev/uart16550.h"

struct codec;
struct vm;

#define CONSOLE_LINE 160     /* longer lines are broken */
#define CONSOLE_RING 0x10000 /* bytes of output that are kept; a power of two */
#define CONSOLE_QUEUE 4096   /* bytes of input that may wait; a power of two */

/* Guarded by the VM's device_lock. */
struct console {
    struct device device;
    struct uart16550 uart;
    struct vm *vm;
    char line[CONSOLE_LINE];
    unsigned len;
    u64 bytes_out;    /* bytes of output since the start; also the place of the next byte in the ring */
    u64 first;        /* the number of the first byte that is known here, if the guest has come from elsewhere */
    u64 typed, taken; /* bytes of input since the start: from the operator, and to the guest */
    u64 dropped;      /* bytes of input that found the queue full */
    struct {
        u64 free_ns;       /* when the port, at the allowed rate, would be done with the lines shown so far */
        u64 unshown, told; /* lines not shown; how many of these the log has mentioned */
    } log;                 /* limits how much of the output the log shows; the ring gets all of it */
    char ring[CONSOLE_RING];
    char queue[CONSOLE_QUEUE];
};

/* Create the chip and add its ports to the bus. Returns 0 or bus_add's error. */
int console_init(struct console *console, struct vm *vm);

/*
 * Copy out the guest's output from byte number *from (0: its first) on, at most len bytes; bytes that are no longer
 * kept are skipped. Moves *from behind the copied bytes and returns their number. Takes device_lock.
 */
size_t console_read(struct console *console, u64 *from, char *buffer, size_t len);

/* What is kept of the guest's output, as a section; not all of it where the section can't hold that. With
 * device_lock held. */
void console_scrollback(struct console *console, struct codec *c);

/* Put input into the queue. Returns how many bytes were taken, less than len if the guest does not read. Takes
 * device_lock. */
size_t console_input(struct console *console, const char *bytes, size_t len);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's own console: COM1, 115200 8N1, and the emulators' port 0xE9. Probed once; absent ports are
 * never waited for.
 */
#pragma once

#include "host/types.h"

/* Probe and program the ports. First thing at boot. */
void serial_init(void);

/* Send bytes; "\n" becomes "\r\n" on COM1. The caller serializes (the log's lock does). */
void serial_write(const char *text, size_t len);

/* The same without waiting: as much as the port takes at once. Returns how many bytes that was. A port that has taken
 * nothing for a second is not heeded any more. */
size_t serial_offer(const char *text, size_t len);

/* Wait until the last byte has left, before the machine ends. */
void serial_flush(void);

/*
 * Let each received byte interrupt this CPU, so that its run loop comes round and reads it. False: there is no port, or
 * no I/O APIC; then who waits for input has to poll. Once, before serial_read.
 */
bool serial_interrupt_on(void);

/* Next received byte, or -1. One reader. */
int serial_read(void);

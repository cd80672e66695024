/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's own console: COM1, 115200 8N1, and the emulators' port 0xE9. Both are probed once, and nobody ever
 * waits for an absent port.
 */
#pragma once

#include "host/types.h"

/* Probe and program the ports. Called first at boot. */
void serial_init(void);

/* Send bytes; "\n" becomes "\r\n" on COM1. The caller serializes (the log's lock does). */
void serial_write(const char *text, size_t len);

/* Send as many bytes as the port takes at once, without waiting. Returns how many bytes that was. If COM1 has taken
 * nothing for a second, it counts as stuck: all bytes then go to port 0xE9 alone and count as sent. */
size_t serial_offer(const char *text, size_t len);

/* Wait until the last byte has left the port; for the end of the machine. */
void serial_flush(void);

/*
 * Let each received byte interrupt this CPU, so that its run loop wakes and reads the byte. False: the machine has no
 * port or no I/O APIC; then a reader has to poll. Once, before serial_read.
 */
bool serial_interrupt_on(void);

/* The next received byte, or -1. Only one reader is allowed. */
int serial_read(void);

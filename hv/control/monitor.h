/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The serial monitor: commands typed on COM1, beside the log.
 *
 * The port is polled: every 20 ms while nobody types, every millisecond for a while after a byte, so that an idle host
 * sleeps and the receiver's 16 bytes don't overflow under a person's hands. The first 16 bytes of a paste are sure;
 * what comes within the same 20 ms after them may be lost on a real port. No prompt stands before the first key.
 */
#pragma once

/* Begin to listen. Once, at boot; adds host work. */
void monitor_init(void);

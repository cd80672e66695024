/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The serial monitor: commands typed on COM1, beside the log.
 *
 * A received byte interrupts CPU 0; where the port can't interrupt it is polled every millisecond. No prompt stands
 * before the first key.
 */
#pragma once

/* Begin to listen. Once, at boot; adds host work. */
void monitor_init(void);

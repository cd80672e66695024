/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The serial monitor: commands typed on COM1, which also carries the log.
 *
 * A received byte interrupts CPU 0; a port that can't interrupt is polled every millisecond. The prompt is shown after
 * the first key only.
 */
#pragma once

#include "host/types.h"

/* Begin to listen: to everybody, or to nobody before he has typed a token. Once, at boot; adds host work. */
void monitor_init(bool by_token);

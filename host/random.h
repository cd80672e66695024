/* SPDX-License-Identifier: BSD-2-Clause */
/* Random bytes. */
#pragma once

#include "host/types.h"

/* Fill bytes[0..len) by RDRAND; on a processor without it, from the time-stamp counter's jitter (weak). Host loop. */
void random_fill(u8 *bytes, u32 len);

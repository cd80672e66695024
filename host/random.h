/* SPDX-License-Identifier: BSD-2-Clause */
/* Random bytes. */
#pragma once

#include "host/types.h"

/* Fill bytes[0..len) by RDRAND; where there is none, weakly, from the jitter of the time-stamp counter. Host loop. */
void random_fill(u8 *bytes, u32 len);

/* SPDX-License-Identifier: BSD-2-Clause */
/* Which code for ChaCha20 is the fastest differs: on processors it is the one with the widest registers, in an emulator
 * it may be the one with none. So it is measured. */
#pragma once

#include "tls/chacha20.h"

/* Measure each code that this processor has, use the fastest from now on, and log it. Boot, once, before guests. */
void chacha20_choose(void);

/* How fast it was then, in bytes a second; 0: this processor has not what the code uses, or nothing was measured. */
u64 chacha20_rate(enum chacha20_code code);

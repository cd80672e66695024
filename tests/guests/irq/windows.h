/* SPDX-License-Identifier: BSD-2-Clause */
/* The instruction sequences of windows.S, and where in each the interrupt has to arrive. */
#pragma once

#include "host/types.h"

typedef void window(volatile u32 *reg, u32 value);

window window_popf, window_nop, window_cpuid, window_port, window_hlt, window_mmio, window_mov_ss;
extern const u8 window_popf_at[], window_nop_at[], window_cpuid_at[], window_port_at[], window_hlt_at[],
    window_mmio_at[], window_mov_ss_at[];

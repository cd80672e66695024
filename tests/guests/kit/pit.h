/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254's counter 0, which interrupts on line 0. */
#pragma once

#include "host/types.h"

#define PIT_HZ 1193182ULL

/* Each `count` of its ticks, again and again or once; and no more. */
void pit_periodic(u16 count);
void pit_once(u16 count);
void pit_stop(void);

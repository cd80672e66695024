/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting processors and reaching them (SDM 3A "Multiple-Processor Initialization"). */
#pragma once

#include "host/types.h"

/*
 * Take the other processors out of the loops in which the firmware has left them: from now on they wait for a start-up
 * IPI, and burden neither the memory nor an emulator's host. Boot processor, after apic_init.
 */
void smp_park(void);

/*
 * Start up to `limit` processors in all (0: no limit) from the hand-over's APIC ids with INIT-SIPI-SIPI through the
 * trampoline page `trampoline` (physical, below 1 MiB; 0: stay alone, with a warning). Each started CPU runs entry()
 * on its own stack, never to return. A CPU that doesn't answer within a second is left out with a warning. Boot
 * processor.
 */
void smp_start(const u32 *apic_ids, u32 count, u32 limit, u64 trampoline, void (*entry)(void));

/* Make the CPU leave its guest or its sleep soon, and run its loop once. Any CPU, also itself. */
void cpu_kick(u32 index);

/* Panic only: stop all other CPUs by NMI, for ever. Waits a bounded time for them. */
void smp_stop_others(void);

/* Called by the NMI handler: if a panic has asked, stop here for ever; else return. */
void smp_stop_if_asked(void);

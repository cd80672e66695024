/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's I/O APIC (Intel 82093AA data sheet): the first one, where every PC has it. Boot processor.
 */
#pragma once

#include "host/types.h"

/* Map it and mask every pin. Returns the number of pins, 0 if there is none. */
unsigned ioapic_host_init(void);

/* Deliver a pin, level-triggered as PCI demands, as `vector` to the CPU with this APIC id. False: no such pin. */
bool ioapic_route(unsigned pin, u8 vector, u32 apic_id);

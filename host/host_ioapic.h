/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's first I/O APIC (Intel 82093AA data sheet), at the address where every PC has one. Boot processor.
 */
#pragma once

#include "host/types.h"

/* Map the I/O APIC and mask every pin. Returns the number of pins; 0: the machine has no I/O APIC. */
unsigned host_ioapic_init(void);

/* Deliver the pin's interrupt as `vector` to the CPU with this APIC id; level-triggered, for PCI. False: no such pin.
 * */
bool host_ioapic_route(unsigned pin, u8 vector, u32 apic_id);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory map that a guest is given, in the numbers that e820 and PVH share (ACPI, "System Address Map
 * Interfaces"). */
#pragma once

#include "host/types.h"

#define MAP_RAM 1
#define MAP_RESERVED 2
#define MAP_ACPI 3 /* tables: RAM once they are read */

#define MAP_RANGES 8

#define LEGACY_BASE 0xA0000 /* from here to 1 MiB a PC has no RAM for the system; our tables lie there */
#define LEGACY_END 0x100000

struct guest_map_range {
    u64 base, size;
    u32 type;
};

struct guest_map {
    struct guest_map_range range[MAP_RANGES];
    u32 nr_ranges;
    u64 rsdp; /* physical address of the ACPI root pointer */
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest is told at its start: command line, memory map, and on which machine it runs. */
#pragma once

#include "host/types.h"

#define BOOT_MAX_REGIONS 32

enum memory_kind { MEMORY_RAM = 1 }; /* the E820 types; others are not RAM */

struct memory_region {
    u64 base, size; /* bytes */
    u32 kind;
};

struct boot {
    char cmdline[512];
    u32 nr_regions;
    struct memory_region region[BOOT_MAX_REGIONS];
    bool godwit;         /* the hypervisor signature is Godwit's */
    char vendor[13];     /* CPUID leaf 0 */
    char hypervisor[13]; /* CPUID leaf 0x40000000; "" if there is none */
};

extern struct boot boot;
extern const u64 boot_tsc;                  /* time stamp counter at the guest's first instruction */
extern const u8 image_start[], image_end[]; /* guest.lds */

/* Each guest defines it; returning ends the guest with the verdict of its reports. */
void guest_main(void);

/* The value of word KEY=VALUE of the command line in value[size], or false. */
bool boot_option(const char *key, char *value, size_t size);

/* Whether all of [base, base + size) is RAM by the memory map. */
bool boot_is_ram(u64 base, u64 size);

/* End of the highest RAM below `limit`; 0 if there is none. */
u64 boot_ram_end(u64 limit);

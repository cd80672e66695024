/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting a guest by PVH (Xen, "x86/HVM direct boot ABI"), version 1: the structures, and the loader. */
#pragma once

#include "host/types.h"

#define PVH_NOTE_NAME "Xen"
#define PVH_NOTE_PHYS32_ENTRY 18
#define PVH_MAGIC 0x336EC578U
#define PVH_VERSION 1

struct pvh_start_info {
    u32 magic, version, flags, nr_modules;
    u64 modlist_paddr, cmdline_paddr, rsdp_paddr;
    u64 memmap_paddr;
    u32 memmap_entries, reserved;
};

struct pvh_module {
    u64 paddr, size, cmdline_paddr, reserved;
};

struct pvh_memmap {
    u64 addr, size;
    u32 type, reserved;
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "PVH start info");
_Static_assert(sizeof(struct pvh_module) == 32, "PVH module");
_Static_assert(sizeof(struct pvh_memmap) == 24, "PVH memory map entry");

struct guest_elf;
struct guest_image;
struct guest_map;
struct vm;

/* Write a checked image, its initrd and the start-of-day structures, and put the boot vcpu at its entry. */
void pvh_load(struct vm *vm, const struct guest_elf *elf, const struct guest_image *image, u64 initrd,
              const struct guest_map *map);

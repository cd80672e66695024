/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's own page tables (layout.h): built once, extended by stacks, device windows and heap. Every mapping
 * is W^X. */
#pragma once

#include "host/types.h"

struct boot_info;

enum host_prot {
    HOST_R = 0,
    HOST_W = 1,
    HOST_X = 2,
    HOST_UNCACHED = 4,
};

/*
 * Boot processor, on the loader's page tables: set up the frame allocator from the memory map, build our tables and
 * switch to them. After this the loader's identity map is gone: reach physical memory by phys_to_virt. Panics if the
 * memory map is unusable.
 */
void host_map_init(const struct boot_info *boot_info);

/* The page-table root, for further CPUs. */
hpa_t host_map_root(void);

/* Map one 4 KiB page. Returns 0, -EEXIST if mapped, -ENOMEM. Boot or the host loop; takes the map's lock. */
int host_map_page(u64 address, hpa_t frame, unsigned prot);

/*
 * Remove one page of host_map_page, here; the frame is the caller's. Another CPU may use a translation that it has
 * cached until it flushes it: only for pages whose frames then serve nothing else.
 */
void host_unmap_page(u64 address);

/* A stack of `size` bytes below an own guard gap; returns its top, or 0 without memory. Never freed. */
u64 host_map_stack(u64 size);

/* Device registers at [base, base+size), uncached; returns the virtual address, NULL without memory. Never unmapped. */
void *host_map_device(hpa_t base, u64 size);

/* Return the loader's memory to the frame allocator, when nothing of the hand-over is used any more. Boot processor,
 * once. */
void host_map_reclaim_loader(const struct boot_info *copy);

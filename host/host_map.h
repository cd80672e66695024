/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's own page tables (layout.h): built once, then extended for stacks, device windows and the heap. No
 * mapping is both writable and executable. */
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
 * Set up the frame allocator from the memory map, build our tables and switch to them. Afterwards the loader's identity
 * map is gone: reach physical memory by frame_window. Panics if the memory map is unusable. Boot processor, on the
 * loader's page tables.
 */
void host_map_init(const struct boot_info *boot_info);

/* The page-table root, which the other CPUs load when they start. */
hpa_t host_map_root(void);

/* Map [address, address+size) to the host range at `frame`, all multiples of 4 KiB. Returns 0, -EEXIST if a part is
 * mapped already, or -ENOMEM. Boot or host loop; takes the map's lock. */
int host_map(u64 address, hpa_t frame, u64 size, unsigned prot);

/* Map a new, zeroed page of RAM, writable. False: memory is short. Takes the map's lock. */
bool host_map_new_page(u64 address);

/*
 * Remove a 4 KiB page that host_map has mapped, and flush its translation on this CPU; the frame belongs to the caller.
 * Another CPU may go on using a translation that it has cached, so the caller must not use the frame for anything else.
 */
void host_unmap_page(u64 address);

/* Map a stack of `size` bytes above its own guard gap. Returns the stack's top, or 0 if memory is short. Never freed.
 */
u64 host_map_stack(u64 size);

/* Map device registers at [base, base+size), uncached, for good. Returns their virtual address, or NULL if memory is
 * short. */
void *host_map_device(hpa_t base, u64 size);

/* Give the loader's memory to the frame allocator, once nothing that the loader handed over is in use any more. Boot
 * processor, once. */
void host_map_reclaim_loader(const struct boot_info *copy);

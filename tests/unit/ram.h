/* SPDX-License-Identifier: BSD-2-Clause */
/* Physical memory for programs on this machine: a sparse host mapping, managed by the frame allocator. */
#pragma once

#include "host/types.h"

/* A fresh frame allocator over `top` bytes of address space, with no frame added yet. Pages cost memory when touched
 * only. */
void ram_init_empty(hpa_t top);

/* The same, with all frames added. */
void ram_init_full(hpa_t top);

/* End of a test: give the host's memory back. */
void ram_fini(void);

/* Free frames. */
u64 ram_free(void);

/* A reproducible pseudo-random number below `limit`. */
u64 ram_random(u64 limit);

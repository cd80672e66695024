/* SPDX-License-Identifier: BSD-2-Clause */
/* A sparse host mapping as physical memory. */
#include "tests/unit/ram.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "host/panic.h"
#include "host/frame.h"
#include "host/smp.h"

/* Who asks for a missing page kicks the host loop. A test that has one defines this. */
__attribute__((weak)) void cpu_kick(u32 index)
{
    (void)index;
}

static void *window;
static u8 *state;
static hpa_t size;

void ram_init_empty(hpa_t top)
{
    window = mmap(NULL, top, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert(window != MAP_FAILED);
    madvise(window, top, MADV_HUGEPAGE); /* a fault for 2 MiB instead of 512, if the kernel has it */
    size = top;
    state = malloc(frame_state_size(top));
    frame_init(state, top, window);
}

void ram_init_full(hpa_t top)
{
    ram_init_empty(top);
    frame_add(0, top);
}

void ram_fini(void)
{
    munmap(window, size);
    free(state);
}

u64 ram_free(void)
{
    return frame_stats().free;
}

/* SplitMix64. */
u64 ram_random(u64 limit)
{
    static u64 seed;
    u64 x = seed += 0x9E3779B97F4A7C15ULL;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
    return (x ^ x >> 31) % limit;
}

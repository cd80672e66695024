/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "dirty"
#include "dirty/dirty_copy.h"

#include <stdlib.h>
#include <string.h>

#include "dirty/vm_dirty.h"
#include "host/bits.h"
#include "host/frame.h"
#include "host/log.h"
#include "hv/vm.h"

#define SHOWN 8 /* missed pages that the log names */

static u64 pages_of(const struct dirty_copy *copy)
{
    return copy->vm->mem.size / PAGE_SIZE;
}

static void page_copy(struct dirty_copy *copy, u64 page)
{
    struct guest_mem *mem = &copy->vm->mem;

    guest_read(mem, guest_mem_gpa(mem, page), copy->bytes + page * PAGE_SIZE, PAGE_SIZE);
}

/* This takes most of the time: so it compares several words at once. */
static bool page_differs(struct dirty_copy *copy, u64 page)
{
    struct guest_mem *mem = &copy->vm->mem;
    u64 len;
    const u64 *a = (const u64 *)(copy->bytes + page * PAGE_SIZE);
    const u64 *b = guest_ptr(mem, guest_mem_gpa(mem, page), PAGE_SIZE, &len);

    for (unsigned i = 0; i < PAGE_SIZE / 8; i += 8)
        if ((a[i] ^ b[i]) | (a[i + 1] ^ b[i + 1]) | (a[i + 2] ^ b[i + 2]) | (a[i + 3] ^ b[i + 3]) |
            (a[i + 4] ^ b[i + 4]) | (a[i + 5] ^ b[i + 5]) | (a[i + 6] ^ b[i + 6]) | (a[i + 7] ^ b[i + 7]))
            return true;
    return false;
}

void dirty_copy_all(struct dirty_copy *copy)
{
    for (u64 page = 0; page < pages_of(copy); page++)
        page_copy(copy, page);
}

void dirty_copy_found(struct dirty_copy *copy)
{
    for (u64 page = 0; page < pages_of(copy); page++) {
        if (!bitmap_test(copy->to_send, page))
            continue;
        copy->found++;
        if (!copy->drop || copy->found % copy->drop != 0)
            page_copy(copy, page);
    }
    memset(copy->to_send, 0, dirty_words(&copy->vm->mem) * sizeof(u64));
}

void dirty_copy_compare(struct dirty_copy *copy)
{
    const struct guest_mem *mem = &copy->vm->mem;

    for (u64 page = 0; page < pages_of(copy); page++) {
        bool logged = bitmap_test(copy->to_send, page), differs = page_differs(copy, page);

        copy->compared += logged;
        copy->residue += logged && !differs;
        copy->tables.residue += logged && !differs && page - copy->tables.first < copy->tables.number;
        if (!differs || logged)
            continue;
        if (copy->missed++ < SHOWN)
            pr_err("%s: missed gpa %#lx in harvest %lu by %s", copy->vm->name, guest_mem_gpa(mem, page),
                   mem->dirty.count.harvests, dirty_producer_name(mem->dirty.producer));
        page_copy(copy, page);
    }
    dirty_copy_found(copy);
}

/* The copy is one block: a power of two, 1 GiB at most. */
static u8 *block_alloc(u64 size)
{
    unsigned order = 0;
    hpa_t block;

    while (PAGE_SIZE << order < size)
        order++;
    block = order > FRAME_MAX_ORDER ? FRAME_NONE : frame_alloc(order);
    return block == FRAME_NONE ? NULL : frame_window(block);
}

bool dirty_copy_init(struct dirty_copy *copy, struct vm *vm, u32 drop)
{
    *copy = (struct dirty_copy){
        .vm = vm,
        .bytes = block_alloc(vm->mem.size),
        .to_send = calloc(dirty_words(&vm->mem), sizeof(u64)),
        .drop = drop,
    };
    if (copy->bytes && copy->to_send)
        return true;
    pr_err("%s: no memory for a second copy of the guest's: no check", vm->name);
    return false;
}

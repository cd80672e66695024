/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own page tables.
 *
 * They are built while the loader's identity map is still in force, from one run of free memory that also gets the
 * frame allocator's bookkeeping (the "boot pool"); the allocator starts after the switch and takes over what is left of
 * that run. `map.window` says where physical 0 is seen: 0 before the switch, DIRECT_MAP_BASE after it.
 *
 * Mappings are only ever added, except that the page that starts processors is removed. The processor caches no absent
 * translation (SDM 3A "Details of TLB Use"), so adding needs neither invlpg nor a message to other CPUs, and all pages
 * may be global.
 */
#include "host/host_map.h"

#include <errno.h>
#include <string.h>

#include "config/boot_info.h"
#include "host/asm.h"
#include "host/msr_index.h"
#include "host/x86.h"
#include "host/bits.h"
#include "host/lock.h"
#include "host/panic.h"
#include "host/frame.h"
#include "host/image.h"
#include "host/layout.h"

#define LEVELS 4
#define LOW_MEMORY MiB(1)      /* memory below is for trampolines and firmware, and never allocated */
#define POOL_LIMIT GiB(4)      /* a starting CPU loads CR3 in 32-bit mode, so the root lies below */
#define CPUID_1G_PAGES BIT(26) /* leaf 80000001h EDX */

static struct {
    struct spinlock lock; /* guards the tables */
    hpa_t root;
    u64 window;
    hpa_t pool_base, pool_next, pool_end; /* boot pool; used up to pool_next */
    bool has_1g;
    u64 stacks;  /* slots handed out; atomic */
    u64 devices; /* bytes of DEVICES_BASE handed out; atomic */
} map = { .lock = SPINLOCK(LOCK_HOST_MAP) };

static u64 *table_at(hpa_t table)
{
    return (u64 *)(map.window + table);
}

static hpa_t pool_take(u64 size)
{
    hpa_t base = map.pool_next;

    map.pool_next += align_up(size, PAGE_SIZE);
    if (map.pool_next > map.pool_end)
        panic("boot pool of %lu KiB is too small", (unsigned long)((map.pool_end - map.pool_base) >> 10));
    return base;
}

/* A table of absent entries, or FRAME_NONE. */
static hpa_t table_alloc(void)
{
    hpa_t table = map.window ? frame_alloc(FRAME_ORDER_4K) : pool_take(PAGE_SIZE);

    if (table != FRAME_NONE)
        memset(table_at(table), 0, PAGE_SIZE);
    return table;
}

/* The entry for address at `level`, or the present leaf above it; missing tables are made. NULL without memory. */
static u64 *entry_find(u64 address, unsigned level)
{
    u64 *table = table_at(map.root);

    for (unsigned l = LEVELS;; l--) {
        u64 *entry = &table[(address / level_size(l)) % 512];

        if (l == level || (*entry & PTE_PS))
            return entry;
        if (!(*entry & PTE_P)) {
            hpa_t next = table_alloc();

            if (next == FRAME_NONE)
                return NULL;
            /* Only the leaves restrict rights. */
            *entry = next | PTE_P | PTE_W;
        }
        table = table_at(*entry & PTE_ADDR);
    }
}

/* The level of the largest page that fits at both addresses. */
static unsigned leaf_level(u64 address, hpa_t frame, u64 size)
{
    unsigned level = map.has_1g ? 3 : 2;

    while (level > 1 && (!is_aligned(address | frame, level_size(level)) || size < level_size(level)))
        level--;
    return level;
}

static u64 prot_flags(unsigned prot)
{
    assert((prot & (HOST_W | HOST_X)) != (HOST_W | HOST_X));
    return PTE_P | PTE_A | PTE_D | PTE_G | (prot & HOST_W ? PTE_W : 0) | (prot & HOST_X ? 0 : PTE_NX) |
           (prot & HOST_UNCACHED ? PTE_PCD | PTE_PWT : 0);
}

int host_map(u64 address, hpa_t frame, u64 size, unsigned prot)
{
    int rc = 0;

    assert(is_aligned(address | frame | size, PAGE_SIZE));
    spin_lock(&map.lock);
    for (u64 step; size != 0; address += step, frame += step, size -= step) {
        unsigned level = leaf_level(address, frame, size);
        u64 *entry = entry_find(address, level);

        rc = !entry ? -ENOMEM : *entry & PTE_P ? -EEXIST : 0;
        if (rc)
            break;
        *entry = frame | prot_flags(prot) | (level > 1 ? PTE_PS : 0);
        step = level_size(level);
    }
    spin_unlock(&map.lock);
    return rc;
}

/* At boot nothing is mapped yet, and the pool itself panics if it is empty: any error is our mistake. */
static void map_boot(u64 address, hpa_t frame, u64 size, unsigned prot)
{
    int rc = host_map(address, frame, size, prot);

    assert(rc == 0);
}

/* Rights of a kind of memory in the direct map; -1: not mapped. Files and tables come from the loader and the firmware:
 * we only read them. */
static int direct_prot(u32 kind)
{
    switch (kind) {
    case MEM_USABLE:
    case MEM_LOADER: return HOST_W;
    case MEM_FILE:
    case MEM_ACPI: return HOST_R;
    default: return -1;
    }
}

/* Neighbours with the same rights are mapped as one, for larger pages. */
static void map_direct(const struct boot_info *boot_info)
{
    const struct boot_info_mem *mem = boot_info->mem;

    for (u32 i = 0, next; i < boot_info->nr_mem; i = next) {
        int prot = direct_prot(mem[i].kind);
        hpa_t end = mem[i].base + mem[i].size;

        for (next = i + 1; next < boot_info->nr_mem && mem[next].base == end && direct_prot(mem[next].kind) == prot;
             next++)
            end += mem[next].size;
        if (prot >= 0)
            map_boot(DIRECT_MAP_BASE + mem[i].base, mem[i].base, end - mem[i].base, (unsigned)prot);
    }
}

static void map_segment(const struct boot_info *boot_info, const char *start, const char *end, unsigned prot)
{
    u64 offset = (u64)start - boot_info->image_virt;

    map_boot((u64)start, boot_info->image_phys + offset, (u64)(end - start), prot);
}

static void map_image(const struct boot_info *boot_info)
{
    assert((u64)__image_start == boot_info->image_virt && (u64)(__image_end - __image_start) <= boot_info->image_size);
    map_segment(boot_info, __image_start, __text_end, HOST_X);
    map_segment(boot_info, __rodata_start, __rodata_end, HOST_R);
    map_segment(boot_info, __data_start, __image_end, HOST_W);
}

/* The largest run of free memory between LOW_MEMORY and POOL_LIMIT becomes the boot pool. */
static void pool_choose(const struct boot_info *boot_info)
{
    for (u32 i = 0; i < boot_info->nr_mem; i++) {
        const struct boot_info_mem *mem = &boot_info->mem[i];
        hpa_t base = MAX(mem->base, LOW_MEMORY), end = MIN(mem->base + mem->size, POOL_LIMIT);

        if (mem->kind == MEM_USABLE && base < end && end - base > map.pool_end - map.pool_base) {
            map.pool_base = map.pool_next = base;
            map.pool_end = end;
        }
    }
    if (map.pool_end == 0)
        panic("the memory map has no usable memory below 4 GiB");
}

/* Give all memory of a kind to the frame allocator, but for what the boot pool used. */
static void frames_add(const struct boot_info *boot_info, u32 kind)
{
    for (u32 i = 0; i < boot_info->nr_mem; i++) {
        const struct boot_info_mem *mem = &boot_info->mem[i];
        hpa_t base = MAX(mem->base, LOW_MEMORY), end = mem->base + mem->size;

        if (base == map.pool_base)
            base = map.pool_next;
        if (mem->kind == kind && base < end)
            frame_add(base, end - base);
    }
}

/* End of the memory that the frame allocator will ever manage. */
static hpa_t frames_top(const struct boot_info *boot_info)
{
    hpa_t top = 0;

    for (u32 i = 0; i < boot_info->nr_mem; i++) {
        const struct boot_info_mem *mem = &boot_info->mem[i];

        if (mem->kind == MEM_USABLE || mem->kind == MEM_LOADER)
            top = MAX(top, mem->base + mem->size);
    }
    return top;
}

/* Load our root. NX entries need EFER.NXE first; clearing PGE drops global translations that the loader or firmware
 * left. */
static void map_switch(void)
{
    u64 cr4 = read_cr4();

    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    write_cr4(cr4 & ~CR4_PGE);
    write_cr3(map.root);
    write_cr4(cr4 | CR4_PGE);
    map.window = DIRECT_MAP_BASE;
}

void host_map_init(const struct boot_info *boot_info)
{
    hpa_t top = frames_top(boot_info), state;

    map.has_1g = cpuid(0x80000000, 0).eax >= 0x80000001 && (cpuid(0x80000001, 0).edx & CPUID_1G_PAGES);
    pool_choose(boot_info);
    map.root = table_alloc();
    state = pool_take(frame_state_size(top));
    map_direct(boot_info);
    map_image(boot_info);
    map_switch();

    frame_init((u8 *)table_at(state), top, table_at(0));
    frames_add(boot_info, MEM_USABLE);
}

hpa_t host_map_root(void)
{
    return map.root;
}

void host_unmap_page(u64 address)
{
    u64 *entry;

    spin_lock(&map.lock);
    entry = entry_find(address, 1);
    assert(entry && (*entry & (PTE_P | PTE_PS)) == PTE_P);
    *entry = 0;
    spin_unlock(&map.lock);
    invlpg((const void *)address);
}

bool host_map_new_page(u64 address)
{
    /*
     * Zeroed: firmware may have run code there, and QEMU goes on watching such a page for changes of that code, at
     * hundreds of microseconds a push, until all of it is overwritten.
     */
    void *page = frame_alloc_page();

    if (!page)
        return false;
    if (host_map(address, frame_address(page), PAGE_SIZE, HOST_W) == 0)
        return true;
    frame_free_page(page);
    return false;
}

u64 host_map_stack(u64 size)
{
    u64 top = STACKS_BASE + (__atomic_fetch_add(&map.stacks, 1, __ATOMIC_RELAXED) + 1) * STACK_SLOT;

    assert(is_aligned(size, PAGE_SIZE) && size < STACK_SLOT);
    for (u64 address = top - size; address < top; address += PAGE_SIZE)
        if (!host_map_new_page(address))
            return 0;
    return top;
}

void *host_map_device(hpa_t base, u64 size)
{
    u64 offset = base & ~PAGE_MASK, pages = align_up(offset + size, PAGE_SIZE);
    u64 address = DEVICES_BASE + __atomic_fetch_add(&map.devices, pages, __ATOMIC_RELAXED);
    int rc = host_map(address, base - offset, pages, HOST_W | HOST_UNCACHED);

    return rc == 0 ? (void *)(address + offset) : NULL;
}

void host_map_reclaim_loader(const struct boot_info *copy)
{
    frames_add(copy, MEM_LOADER);
}

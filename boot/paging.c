/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page tables of the hand-over: memory at its physical address, writable and executable because the last
 * instructions of this application run there; the image at its link address, by 4 KiB pages with the rights of
 * its segments. SDM 3A "4-Level Paging".
 */
#include "boot/paging.h"

#include <cpuid.h>

#include "boot/failure.h"
#include "boot/memmap.h"
#include "boot/pages.h"

#define PTE_PRESENT 0x1ULL
#define PTE_WRITE 0x2ULL
#define PTE_LEAF 0x80ULL /* in a directory: maps a large page */
#define PTE_NX (1ULL << 63)
#define PTE_ADDRESS 0x000ffffffffff000ULL

#define SHIFT_4K 12
#define SHIFT_2M 21
#define SHIFT_1G 30
#define SHIFT_PML4 39

#define MSR_EFER 0xc0000080
#define EFER_NXE (1 << 11)
#define CR0_WP (1ULL << 16)
#define CR4_LA57 (1ULL << 12)

/* CPUID 80000001h EDX. */
#define CPUID_NX (1u << 20)
#define CPUID_PAGE1GB (1u << 26)

/* Zeroed pages for tables, all taken at once. */
struct table_pool {
    uint64_t *next;
    uint64_t root;
};

static uint64_t *table_take(struct table_pool *pool)
{
    uint64_t *table = pool->next;

    pool->next += 512;
    return table;
}

/* Map one page of size 1 << shift. */
static void page_map(struct table_pool *pool, uint64_t virt, uint64_t phys, unsigned shift, uint64_t flags)
{
    uint64_t *table = (uint64_t *)pool->root, *entry;

    for (unsigned level = SHIFT_PML4; level > shift; level -= 9) {
        entry = &table[(virt >> level) & 511];
        if (!*entry)
            *entry = (uint64_t)table_take(pool) | PTE_PRESENT | PTE_WRITE;
        table = (uint64_t *)(*entry & PTE_ADDRESS);
    }
    table[(virt >> shift) & 511] = phys | flags | PTE_PRESENT | (shift > SHIFT_4K ? PTE_LEAF : 0);
}

static void image_map(struct table_pool *pool, const struct boot_info *boot_info, const struct hypervisor_elf *image)
{
    for (unsigned i = 0; i < image->nr_segments; i++) {
        const struct elf_segment *segment = &image->segment[i];
        uint64_t flags = (segment->write ? PTE_WRITE : 0) | (segment->exec ? 0 : PTE_NX);

        for (uint64_t at = 0; at < segment->size; at += PAGE_SIZE)
            page_map(pool, segment->virt + at, boot_info->image_phys + (segment->virt - image->virt) + at, SHIFT_4K,
                     flags);
    }
}

/* How many tables are needed at most, for an identity map of `top` bytes and the image. */
static uint64_t table_count(uint64_t top, unsigned shift, const struct hypervisor_elf *image)
{
    uint64_t directories = shift == SHIFT_2M ? (top >> SHIFT_1G) : 0;
    uint64_t pointers = (top >> SHIFT_PML4) + 1;
    uint64_t of_image = 1 + 2 + (image->size >> SHIFT_2M) + 2; /* it may straddle one boundary at each level */

    return 1 + pointers + directories + of_image;
}

static uint64_t cr4_read(void)
{
    uint64_t value;

    asm volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

EFI_STATUS paging_build(const struct boot_info *boot_info, const struct hypervisor_elf *image, uint64_t *cr3)
{
    uint32_t eax, ebx, ecx, edx = 0;
    uint64_t top = memmap_top(boot_info), step;
    unsigned shift;
    struct table_pool pool;
    void *tables;
    EFI_STATUS status;

    __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx);
    if (!(edx & CPUID_NX))
        return failure_print(EFI_UNSUPPORTED, L"processor: no NX, expected it enabled in the firmware's setup");
    if (cr4_read() & CR4_LA57)
        return failure_print(EFI_UNSUPPORTED, L"processor: 5-level paging is on, expected 4 levels");
    shift = edx & CPUID_PAGE1GB ? SHIFT_1G : SHIFT_2M;
    step = 1ULL << shift;
    if (top < 4ULL << SHIFT_1G)
        top = 4ULL << SHIFT_1G;
    top = (top + (1ULL << SHIFT_1G) - 1) >> SHIFT_1G << SHIFT_1G;
    status = pages_alloc(table_count(top, shift, image) * PAGE_SIZE, PAGE_SIZE, MEM_LOADER, "page tables", &tables);
    if (EFI_ERROR(status))
        return status;
    pool = (struct table_pool){ .next = tables };
    pool.root = (uint64_t)table_take(&pool);
    for (uint64_t at = 0; at < top; at += step)
        page_map(&pool, at, at, shift, PTE_WRITE);
    image_map(&pool, boot_info, image);
    *cr3 = pool.root;
    return EFI_SUCCESS;
}

/* The NX bits are reserved bits until EFER.NXE is set, and this code can write read-only pages until CR0.WP is set. */
static void rights_enable(void)
{
    uint32_t low, high;
    uint64_t cr0;

    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(MSR_EFER));
    asm volatile("wrmsr" : : "a"(low | EFER_NXE), "d"(high), "c"(MSR_EFER));
    asm volatile("mov %%cr0, %0" : "=r"(cr0));
    asm volatile("mov %0, %%cr0" : : "r"(cr0 | CR0_WP) : "memory");
}

_Noreturn void paging_enter(uint64_t cr3, uint64_t stack_top, uint64_t entry, const struct boot_info *boot_info)
{
    asm volatile("cli" : : : "memory");
    rights_enable();
    /* The entry point has no caller: the return address 0 ends every backtrace. */
    asm volatile("mov %0, %%cr3\n\t"
                 "mov %1, %%rsp\n\t"
                 "xor %%ebp, %%ebp\n\t"
                 "push $0\n\t"
                 "jmp *%2"
                 :
                 : "r"(cr3), "r"(stack_top), "r"(entry), "D"(boot_info)
                 : "memory");
    __builtin_unreachable();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest low memory as we lay it out for Linux; all of it is free once the kernel has moved in:
 *
 *   0x1000  boot_params (the "zero page")
 *   0x2000  command line
 *   0x3000  GDT
 *   0x4000  page tables: PML4, PDPT, four page directories that map 4 GiB to themselves
 *   16 MiB  the kernel, or where else it prefers to be
 *   top     the initrd, page aligned, as high as the kernel allows
 */
#include "guest/load/bzimage.h"

#include <string.h>

#include "guest/load/boot_params.h"
#include "guest/load/load.h"
#include "guest/load/map.h"
#include "hv/backend.h"
#include "hv/vm.h"

#define BOOT_PARAMS 0x1000
#define CMDLINE 0x2000
#define GDT 0x3000
#define PAGE_TABLES 0x4000

/* Scratch for one page of the guest: loading happens in the host loop only, whose stack is small. */
static u64 page[PAGE_SIZE / sizeof(u64)];

static void put(u8 *params, unsigned offset, u64 value, unsigned bytes)
{
    memcpy(params + offset, &value, bytes);
}

static void write_boot_params(struct vm *vm, const struct bzimage *kernel, const struct guest_image *image,
                              const struct guest_map *map)
{
    u8 *params = (u8 *)page;

    memset(params, 0, sizeof(page));
    memcpy(params + SETUP_SECTS, kernel->header, kernel->header_size);
    put(params, TYPE_OF_LOADER, LOADER_UNDEFINED, 1);
    put(params, CMD_LINE_PTR, CMDLINE, 4);
    put(params, ACPI_RSDP_ADDR, map->rsdp, 8);
    if (image->initrd.size) {
        put(params, RAMDISK_IMAGE, kernel->initrd, 4);
        put(params, RAMDISK_SIZE, image->initrd.size, 4);
        put(params, EXT_RAMDISK_IMAGE, kernel->initrd >> 32, 4);
        put(params, EXT_RAMDISK_SIZE, image->initrd.size >> 32, 4);
    }
    put(params, E820_ENTRIES, map->nr_ranges, 1);
    for (u32 i = 0; i < map->nr_ranges; i++) {
        struct e820_entry entry = { map->range[i].base, map->range[i].size, map->range[i].type };

        memcpy(params + E820_TABLE + i * sizeof(entry), &entry, sizeof(entry));
    }
    guest_write(&vm->mem, BOOT_PARAMS, params, sizeof(page));
    guest_write(&vm->mem, CMDLINE, image->cmdline, strlen(image->cmdline) + 1);
}

/* __BOOT_CS and __BOOT_DS of the protocol. */
static void write_gdt(struct vm *vm)
{
    static const u64 gdt[4] = { 0, 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF };

    guest_write(&vm->mem, GDT, gdt, sizeof(gdt));
}

/* The low 4 GiB, mapped to themselves by 2 MiB pages. */
static void write_page_tables(struct vm *vm)
{
    const u64 rights = PTE_P | PTE_W;

    memset(page, 0, sizeof(page));
    page[0] = PAGE_TABLES + PAGE_SIZE + rights;
    guest_write(&vm->mem, PAGE_TABLES, page, sizeof(page));
    for (u64 i = 0; i < 4; i++)
        page[i] = PAGE_TABLES + (2 + i) * PAGE_SIZE + rights;
    guest_write(&vm->mem, PAGE_TABLES + PAGE_SIZE, page, sizeof(page));
    for (u64 gib = 0; gib < 4; gib++) {
        for (u64 i = 0; i < ARRAY_SIZE(page); i++)
            page[i] = (GiB(gib) + MiB(2) * i) | PTE_PS | rights;
        guest_write(&vm->mem, PAGE_TABLES + (2 + gib) * PAGE_SIZE, page, sizeof(page));
    }
}

/* boot.rst, "64-bit Boot Protocol": long mode with identity paging, flat segments, interrupts off, %rsi = boot_params.
 */
static void enter(struct vcpu *vcpu, u64 entry)
{
    static const struct vcpu_state state = {
        .cr0 = CR0_PE | CR0_ET | CR0_PG,
        .cr3 = PAGE_TABLES,
        .cr4 = CR4_PAE,
        .efer = EFER_LME | EFER_LMA,
        .gdtr = { .base = GDT, .limit = 4 * sizeof(u64) - 1 },
        .seg = {
            [SEG_ES] = { .selector = 0x18, .limit = ~0U, .attr = 0xC093 },
            [SEG_CS] = { .selector = 0x10, .limit = ~0U, .attr = 0xA09B },
            [SEG_SS] = { .selector = 0x18, .limit = ~0U, .attr = 0xC093 },
            [SEG_DS] = { .selector = 0x18, .limit = ~0U, .attr = 0xC093 },
            [SEG_FS] = { .selector = 0x18, .limit = ~0U, .attr = 0xC093 },
            [SEG_GS] = { .selector = 0x18, .limit = ~0U, .attr = 0xC093 },
            [SEG_LDTR] = { .attr = SEG_UNUSABLE },
            [SEG_TR] = { .limit = 0x67, .attr = 0x8B },
        },
    };

    backend()->set(vcpu, &state, STATE_CR | STATE_SEGMENTS);
    memset(vcpu->regs, 0, sizeof(vcpu->regs));
    vcpu->regs[RSI] = BOOT_PARAMS;
    vcpu->rip = entry;
}

void bzimage_load(struct vm *vm, const struct bzimage *kernel, const struct guest_image *image,
                  const struct guest_map *map)
{
    guest_write(&vm->mem, kernel->base, (const u8 *)image->kernel.data + kernel->code, kernel->code_size);
    if (image->initrd.size)
        guest_write(&vm->mem, kernel->initrd, image->initrd.data, image->initrd.size);
    write_boot_params(vm, kernel, image, map);
    write_gdt(vm);
    write_page_tables(vm);
    enter(vm->vcpu[0], kernel->base + ENTRY_64);
}

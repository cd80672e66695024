/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest low memory as we lay it out for PVH:
 *
 *   0x1000  struct pvh_start_info, memory map, module list
 *   0x2000  command line
 *   64 KiB  the image's segments, wherever they want to be
 *   top     the initrd, page aligned, below the PCI hole
 */
#include "guest/load/pvh.h"

#include <string.h>

#include "guest/load/guest_elf.h"
#include "guest/load/load.h"
#include "guest/load/map.h"
#include "hv/backend.h"
#include "hv/vm.h"

#define START_INFO 0x1000
#define CMDLINE 0x2000

/* The start-of-day page, as it lies in guest memory. */
struct start_page {
    struct pvh_start_info info;
    struct pvh_module initrd;
    struct pvh_memmap memmap[MAP_RANGES];
};

/* Entry state of the PVH ABI: protected mode without paging, flat segments, interrupts off. */
static const struct vcpu_state pvh_state = {
    .cr0 = CR0_PE | CR0_ET,
    .seg = {
        [SEG_ES] = { .selector = 0x10, .limit = ~0U, .attr = 0xC093 },
        [SEG_CS] = { .selector = 0x08, .limit = ~0U, .attr = 0xC09B },
        [SEG_SS] = { .selector = 0x10, .limit = ~0U, .attr = 0xC093 },
        [SEG_DS] = { .selector = 0x10, .limit = ~0U, .attr = 0xC093 },
        [SEG_FS] = { .selector = 0x10, .limit = ~0U, .attr = 0xC093 },
        [SEG_GS] = { .selector = 0x10, .limit = ~0U, .attr = 0xC093 },
        [SEG_LDTR] = { .attr = SEG_UNUSABLE },
        [SEG_TR] = { .limit = 0x67, .attr = 0x8B },
    },
};

static void load_segments(struct vm *vm, const struct guest_elf *elf, const u8 *file)
{
    /* RAM is zeroed when a VM is made, so the part of a segment beyond its file bytes is zero already. */
    for (u32 i = 0; i < elf->nr_segments; i++)
        guest_write(&vm->mem, elf->segment[i].paddr, file + elf->segment[i].offset, elf->segment[i].filesz);
}

static void write_start_page(struct vm *vm, const struct guest_image *image, gpa_t initrd, const struct guest_map *map)
{
    struct start_page page = {
        .info = {
            .magic = PVH_MAGIC,
            .version = PVH_VERSION,
            .nr_modules = image->initrd.size ? 1 : 0,
            .modlist_paddr = image->initrd.size ? START_INFO + offsetof(struct start_page, initrd) : 0,
            .cmdline_paddr = CMDLINE,
            .rsdp_paddr = map->rsdp,
            .memmap_paddr = START_INFO + offsetof(struct start_page, memmap),
            .memmap_entries = map->nr_ranges,
        },
        .initrd = { .paddr = initrd, .size = image->initrd.size },
    };

    for (u32 i = 0; i < map->nr_ranges; i++)
        page.memmap[i] =
            (struct pvh_memmap){ .addr = map->range[i].base, .size = map->range[i].size, .type = map->range[i].type };
    guest_write(&vm->mem, START_INFO, &page, sizeof(page));
    guest_write(&vm->mem, CMDLINE, image->cmdline, strlen(image->cmdline) + 1);
}

void pvh_load(struct vm *vm, const struct guest_elf *elf, const struct guest_image *image, u64 initrd,
              const struct guest_map *map)
{
    struct vcpu *vcpu = vm->vcpu[0];

    load_segments(vm, elf, image->kernel.data);
    if (image->initrd.size)
        guest_write(&vm->mem, initrd, image->initrd.data, image->initrd.size);
    write_start_page(vm, image, initrd, map);
    backend()->set(vcpu, &pvh_state, STATE_CR | STATE_SEGMENTS);
    memset(vcpu->regs, 0, sizeof(vcpu->regs));
    vcpu->regs[RBX] = START_INFO;
    vcpu->rip = elf->entry;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every guest gets a memory map and ACPI tables, whatever the format of its kernel. Then each format's loader takes
 * over: guest_elf.c and pvh.c, or bzimage.c.
 */
#include "guest/load/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "guest/load/acpi.h"
#include "guest/load/bzimage.h"
#include "guest/load/digests.h"
#include "guest/load/guest_elf.h"
#include "guest/load/format.h"
#include "guest/load/map.h"
#include "guest/load/pvh.h"
#include "host/msr_index.h"
#include "hv/msr.h"
#include "hv/vm.h"
#include "mm/guest_walk.h"

#define MTRR_UNCACHED 0
#define MTRR_WRITE_BACK 6
#define MTRR_ENABLED BIT(11)
#define MTRR_MASK_VALID BIT(11)
#define MTRR_MASK_HOLE (BITS(GUEST_MAXPHYADDR - 1, 0) & ~(GUEST_PCI_HOLE_END - GUEST_PCI_HOLE_BASE - 1))

static u64 low_ram(const struct vm *vm)
{
    return MIN(vm->memory, GUEST_PCI_HOLE_BASE);
}

static void map_add(struct guest_map *map, u64 base, u64 end, u32 type)
{
    if (base < end)
        map->range[map->nr_ranges++] = (struct guest_map_range){ base, end - base, type };
}

static void map_make(struct guest_map *map, const struct vm *vm)
{
    u64 high = vm->memory - low_ram(vm);

    *map = (struct guest_map){ .rsdp = ACPI_BASE };
    map_add(map, 0, MIN(LEGACY_BASE, low_ram(vm)), MAP_RAM);
    map_add(map, LEGACY_BASE, ACPI_BASE, MAP_RESERVED);
    map_add(map, ACPI_BASE, ACPI_BASE + ACPI_SIZE, MAP_ACPI);
    map_add(map, ACPI_BASE + ACPI_SIZE, LEGACY_END, MAP_RESERVED);
    map_add(map, LEGACY_END, low_ram(vm), MAP_RAM);
    map_add(map, GUEST_PCI_HOLE_END, GUEST_PCI_HOLE_END + high, MAP_RAM);
}

/* Set the memory types as firmware does: all memory is write-back but for the PCI hole. Guests want to see them, though
 * nothing here depends on them. */
static void set_mtrrs(struct vm *vm)
{
    for (u32 i = 0; i < vm->nr_vcpus; i++) {
        msr_write(vm->vcpu[i], MSR_MTRR_PHYSBASE0, GUEST_PCI_HOLE_BASE | MTRR_UNCACHED);
        msr_write(vm->vcpu[i], MSR_MTRR_PHYSBASE0 + 1, MTRR_MASK_HOLE | MTRR_MASK_VALID);
        msr_write(vm->vcpu[i], MSR_MTRR_DEF_TYPE, MTRR_ENABLED | MTRR_WRITE_BACK);
    }
}

static void refuse(char *reason, size_t size, const char *why, u64 needs)
{
    if (needs)
        snprintf(reason, size, "%s: it needs %lu MiB", why, (needs + MiB(1) - 1) >> 20);
    else
        snprintf(reason, size, "%s", why);
}

static int load_linux(struct vm *vm, const struct guest_image *image, const struct guest_map *map, bool put,
                      char *reason, size_t size)
{
    struct bzimage kernel;
    struct bzimage_request request = {
        .file = image->kernel.data,
        .size = image->kernel.size,
        .initrd_size = image->initrd.size,
        .cmdline_length = strlen(image->cmdline),
        .low_ram = low_ram(vm),
        .high_ram = vm->memory - low_ram(vm),
    };
    const char *refused = bzimage_parse(&kernel, &request);

    if (refused) {
        refuse(reason, size, refused, kernel.needs > request.low_ram ? kernel.needs : 0);
        return -EINVAL;
    }
    if (put)
        bzimage_load(vm, &kernel, image, map);
    return 0;
}

static int load_pvh(struct vm *vm, const struct guest_image *image, const struct guest_map *map, bool put, char *reason,
                    size_t size)
{
    struct guest_elf elf;
    const char *refused = guest_elf_parse(&elf, image->kernel.data, image->kernel.size, low_ram(vm));
    gpa_t initrd = align_down(low_ram(vm) - MIN(image->initrd.size, low_ram(vm)), PAGE_SIZE);

    if (!refused && image->initrd.size && (initrd < MAX(elf.end, LEGACY_END) || image->initrd.size > low_ram(vm)))
        refused = "the initrd does not fit above the kernel: give the guest more memory";
    if (refused) {
        refuse(reason, size, refused, 0);
        return -EINVAL;
    }
    if (put)
        pvh_load(vm, &elf, image, initrd, map);
    return 0;
}

/* Judge the image; then, if `put` is set, put it into the guest's RAM. */
static int load(struct vm *vm, const struct guest_image *image, bool put, char *reason, size_t size)
{
    const char *not_a_kernel = format_complaint(image->kernel.data, image->kernel.size);
    struct guest_map map;
    int err = -EINVAL;

    if (!digests_fit(vm->name, image, reason, size))
        return err;

    map_make(&map, vm);
    if (vm->memory < LEGACY_END)
        refuse(reason, size, "a guest needs 1 MiB of memory at least", 0);
    else if (not_a_kernel)
        refuse(reason, size, not_a_kernel, 0);
    else if (bzimage_probe(image->kernel.data, image->kernel.size))
        err = load_linux(vm, image, &map, put, reason, size);
    else
        err = load_pvh(vm, image, &map, put, reason, size);
    return err;
}

int guest_load_check(struct vm *vm, const struct guest_image *image, char *reason, size_t size)
{
    return load(vm, image, false, reason, size);
}

int guest_load(struct vm *vm, const struct guest_image *image, char *reason, size_t size)
{
    static u8 tables[ACPI_SIZE]; /* host loop only, whose stack is small */
    int err = load(vm, image, true, reason, size);

    if (err)
        return err;
    set_mtrrs(vm);
    acpi_build(tables, vm->nr_vcpus);
    guest_write(&vm->mem, ACPI_BASE, tables, sizeof(tables));
    return 0;
}

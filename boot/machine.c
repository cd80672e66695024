/* SPDX-License-Identifier: BSD-2-Clause */
/* What the firmware knows about the machine, and the end of its services. */
#include "boot/machine.h"

#include <efilib.h>

#include "boot/failure.h"
#include "boot/memmap.h"
#include "boot/pages.h"

/* Ending the services may change the map, which invalidates the key: then both steps are repeated. Two attempts have
 * always been enough. */
#define EXIT_ATTEMPTS 8

/* The firmware's memory map. The allocations that follow the first reading may make the map grow, so there is room for
 * 64 more descriptors. */
static struct {
    void *buffer;
    UINTN room, size, key, descriptor_size;
} map;

static uint64_t rsdp_find(void)
{
    EFI_GUID acpi_2 = ACPI_20_TABLE_GUID, acpi_1 = ACPI_TABLE_GUID;
    uint64_t rsdp = 0;

    for (UINTN i = 0; i < ST->NumberOfTableEntries; i++) {
        EFI_CONFIGURATION_TABLE *table = &ST->ConfigurationTable[i];

        if (CompareGuid(&table->VendorGuid, &acpi_2) == 0)
            return (uint64_t)table->VendorTable;
        if (CompareGuid(&table->VendorGuid, &acpi_1) == 0)
            rsdp = (uint64_t)table->VendorTable;
    }
    return rsdp;
}

void machine_find(struct boot_info *boot_info)
{
    boot_info->rsdp = rsdp_find();
    boot_info->trampoline = pages_alloc_below(1ULL << 20, MEM_LOADER);
    if (!boot_info->trampoline)
        Print(L"warning: no free page below 1 MiB, only the boot processor can be used\n");
}

static uint32_t kind_of(uint32_t type)
{
    switch (type) {
    case EfiConventionalMemory:
    case EfiBootServicesCode:
    case EfiBootServicesData: return MEM_USABLE;
    case EfiLoaderCode:
    case EfiLoaderData: return MEM_LOADER;
    case EfiACPIReclaimMemory:
    case EfiACPIMemoryNVS: return MEM_ACPI;
    case EfiMemoryMappedIO:
    case EfiMemoryMappedIOPortSpace: return MEM_MMIO;
    default: return MEM_RESERVED;
    }
}

/* Read the firmware's map into the buffer and convert it. Prints nothing: that could change the map. */
static EFI_STATUS map_read(struct boot_info *boot_info)
{
    UINT32 version;
    unsigned count;
    const struct page_range *range = pages_ranges(&count);
    EFI_STATUS status;

    map.size = map.room;
    status = BS->GetMemoryMap(&map.size, map.buffer, &map.key, &map.descriptor_size, &version);
    if (EFI_ERROR(status))
        return status;
    boot_info->nr_mem = 0;
    for (UINTN at = 0; at < map.size; at += map.descriptor_size) {
        const EFI_MEMORY_DESCRIPTOR *descriptor = (void *)((char *)map.buffer + at);

        if (!memmap_add(boot_info, descriptor->PhysicalStart, descriptor->NumberOfPages * PAGE_SIZE,
                        kind_of(descriptor->Type)))
            return EFI_BAD_BUFFER_SIZE;
    }
    for (unsigned i = 0; i < count; i++)
        if (!memmap_set_kind(boot_info, range[i].base, range[i].size, range[i].kind))
            return EFI_BAD_BUFFER_SIZE;
    return EFI_SUCCESS;
}

static EFI_STATUS map_fail(EFI_STATUS status)
{
    return failure_print(status, L"memory map: unreadable, overlapping, or more than %d ranges", BOOT_INFO_MAX_MEM);
}

EFI_STATUS machine_memory_read(struct boot_info *boot_info)
{
    UINT32 version;
    EFI_STATUS status;

    map.size = 0;
    status = BS->GetMemoryMap(&map.size, NULL, &map.key, &map.descriptor_size, &version);
    if (status != EFI_BUFFER_TOO_SMALL)
        return map_fail(status);
    map.room = pages_round(map.size + 64 * map.descriptor_size);
    status = pages_alloc(map.room, PAGE_SIZE, MEM_LOADER, "memory map", &map.buffer);
    if (EFI_ERROR(status))
        return status;
    status = map_read(boot_info);
    return EFI_ERROR(status) ? map_fail(status) : EFI_SUCCESS;
}

EFI_STATUS machine_exit_boot_services(EFI_HANDLE image, struct boot_info *boot_info)
{
    EFI_STATUS status = EFI_NOT_STARTED;

    for (int i = 0; i < EXIT_ATTEMPTS; i++) {
        status = map_read(boot_info);
        if (EFI_ERROR(status))
            return map_fail(status);
        status = BS->ExitBootServices(image, map.key);
        if (!EFI_ERROR(status))
            return EFI_SUCCESS;
    }
    return failure_print(status, L"firmware: ExitBootServices refuses %d times", EXIT_ATTEMPTS);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the firmware knows about the machine: memory, and where its ACPI tables are. Processors: boot/cpus.h. */
#pragma once

#include <efi.h>

#include "config/boot_info.h"

/* Fill rsdp and trampoline; a thing that the machine does not have stays 0. */
void machine_find(struct boot_info *boot_info);

/* Take the buffer for the firmware's memory map and read the map once: boot_info->mem is then a preview. */
EFI_STATUS machine_memory_read(struct boot_info *boot_info);

/*
 * Read the memory map for the last time and end the boot services. On success the firmware is gone: no console, no
 * allocation, no file.
 */
EFI_STATUS machine_exit_boot_services(EFI_HANDLE image, struct boot_info *boot_info);

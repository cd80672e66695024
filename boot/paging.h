/* SPDX-License-Identifier: BSD-2-Clause */
/* The page tables of the hand-over, valid until the hypervisor has its own. */
#pragma once

#include <efi.h>

#include "boot/hypervisor_elf.h"
#include "config/boot_info.h"

/* Build the tables that boot_info.h promises, for the image and the memory map in *boot_info. *cr3 gets their root. */
EFI_STATUS paging_build(const struct boot_info *boot_info, const struct hypervisor_elf *image, uint64_t *cr3);

/* Load the tables and jump to entry on the stack that ends at stack_top. After ExitBootServices only. */
_Noreturn void paging_enter(uint64_t cr3, uint64_t stack_top, uint64_t entry, const struct boot_info *boot_info);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract between the UEFI application and the hypervisor: one plain versioned struct.
 *
 * State at the hypervisor's entry point: long mode, interrupts off, EFER.NXE and CR0.WP set, %rdi = virtual = physical
 * address of struct boot_info, %rsp = a stack of at least 16 KiB inside MEM_LOADER memory, aligned as after a call and
 * with the return address 0 on it. GDT and IDT are still the firmware's and may lie in MEM_USABLE memory. The loader's
 * page tables map all memory of the map identically (writable) and the image at its link address with the permissions
 * of its segments. Every pointer-like field is a physical address. The hypervisor copies what it wants to keep and
 * reclaims MEM_LOADER memory once it runs on its own page tables.
 */
#pragma once

#include <stdint.h>

#include "config/config.h"

#define BOOT_INFO_MAGIC 0x4656494c57445747ULL /* "GWDWLIVF" */
#define BOOT_INFO_VERSION 8
#define BOOT_INFO_MAX_MEM 256
#define BOOT_INFO_MAX_CPUS 64

enum boot_info_mem_kind {
    MEM_RESERVED, /* belongs to the firmware for ever, or is unknown: never touched */
    MEM_USABLE,   /* free RAM */
    MEM_LOADER,   /* the loader's pages: page tables, stack, this struct; free after hand-over */
    MEM_IMAGE,    /* the hypervisor's segments */
    MEM_FILE,     /* files read from the boot volume */
    MEM_ACPI,     /* ACPI tables */
    MEM_MMIO,     /* memory-mapped I/O that firmware reports */
};

/* Sorted by base, not overlapping, page aligned. */
struct boot_info_mem {
    uint64_t base, size; /* bytes */
    uint32_t kind;       /* enum boot_info_mem_kind */
    uint32_t reserved;
};

struct boot_info_file {
    char path[CONFIG_PATH]; /* as the configuration names it */
    uint64_t base, size;    /* bytes; base is page aligned */
    uint64_t digest;        /* of the file's bytes, by config/digest.h, begun with 0 */
};

/* Time stamp counter at the loader's milestones. */
struct boot_info_times {
    uint64_t loader_entry; /* first instruction of BOOTX64.EFI */
    uint64_t files_loaded; /* configuration, hypervisor and guest files are in memory */
    uint64_t handover;     /* ExitBootServices has returned: the hand-over */
};

struct boot_info {
    uint64_t magic;
    uint32_t version;
    uint32_t size; /* sizeof(struct boot_info) */

    struct boot_info_times tsc;
    uint64_t rsdp;       /* 0: the firmware has none (Bochs) */
    uint64_t trampoline; /* one free page below 1 MiB, for starting processors; 0: none was found */

    uint64_t image_phys, image_virt, image_size; /* the loaded segments, one contiguous range */

    uint32_t nr_cpus; /* enabled processors, the boot processor first */
    uint32_t apic_id[BOOT_INFO_MAX_CPUS];

    uint32_t nr_mem;
    struct boot_info_mem mem[BOOT_INFO_MAX_MEM];

    uint32_t nr_files; /* file[0] is the hypervisor ELF with its symbols; the last ones are the keyring, the API's
                        * certificate and tokens, and the witness's CA, as far as they are configured */
    struct boot_info_file file[CONFIG_MAX_FILES];

    struct config config;
};

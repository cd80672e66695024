/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first page of a Linux guest, "boot_params", and the setup header that it shares with the bzImage (Linux,
 * Documentation/x86/boot.rst and zero-page.rst). Constants and layouts only.
 */
#pragma once

#include "host/types.h"

/* Fields of the setup header. They have the same offset in the file's first sectors and in boot_params. */
#define SETUP_SECTS 0x1F1
#define SYSSIZE 0x1F4 /* in paragraphs of 16 bytes */
#define BOOT_FLAG 0x1FE
#define JUMP_LENGTH 0x201 /* second byte of a short jump over the header: gives its end */
#define HEADER_MAGIC 0x202
#define VERSION 0x206
#define TYPE_OF_LOADER 0x210
#define LOADFLAGS 0x211
#define RAMDISK_IMAGE 0x218
#define RAMDISK_SIZE 0x21C
#define CMD_LINE_PTR 0x228
#define INITRD_ADDR_MAX 0x22C
#define KERNEL_ALIGNMENT 0x230
#define XLOADFLAGS 0x236
#define CMDLINE_SIZE 0x238
#define PREF_ADDRESS 0x258
#define INIT_SIZE 0x260
#define HEADER_END 0x264 /* end of the part that we read; later versions have more */

/* Fields that only boot_params has. */
#define ACPI_RSDP_ADDR 0x070
#define EXT_RAMDISK_IMAGE 0x0C0
#define EXT_RAMDISK_SIZE 0x0C4
#define E820_ENTRIES 0x1E8
#define E820_TABLE 0x2D0
#define HEADER_ROOM (0x290 - SETUP_SECTS)

#define LOADER_UNDEFINED 0xFF
#define ENTRY_64 0x200 /* of startup_64, from where the kernel is loaded */

struct e820_entry {
    u64 addr, size;
    u32 type;
} __attribute__((packed));

_Static_assert(sizeof(struct e820_entry) == 20, "e820 entry in boot_params");

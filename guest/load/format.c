/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/load/format.h"

#include <string.h>

#include "guest/load/bzimage.h"
#include "host/bits.h"

#define RIGHT ", not a kernel; give a Linux bzImage or a 64-bit ELF file with a PVH note"
#define PACKED "-compressed file; unpack it first"

/* Files that people give by mistake. */
static const struct {
    u32 offset, length;
    const char *magic;
    const char *complaint;
} mistakes[] = {
    { 0, 2, "\x1F\x8B", "this is a gzip" PACKED },
    { 0, 4, "\x28\xB5\x2F\xFD", "this is a zstd" PACKED },
    { 0, 6,
      "\xFD"
      "7zXZ",
      "this is an xz" PACKED },
    { 0, 3, "BZh", "this is a bzip2" PACKED },
    { 0, 4, "\x02\x21\x4C\x18", "this is an lz4" PACKED },
    { 0, 5, "07070", "this is an initramfs (cpio)" RIGHT },
    { 0, 2, "#!", "this is a script" RIGHT },
    { 0x38, 4, "ARM\x64", "this is an arm64 Linux kernel; give one for amd64" },
    { 0x8001, 5, "CD001", "this is a CD image" RIGHT },
    { 0, 2, "MZ", "this is an EFI or DOS program" RIGHT },
    { 0x1FE, 2, "\x55\xAA", "this is a boot sector or a disk image" RIGHT },
};

const char *format_complaint(const u8 *file, u64 size)
{
    if (size == 0)
        return "this file is empty";
    if ((size >= 4 && !memcmp(file, "\177ELF", 4)) || bzimage_probe(file, size))
        return NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++)
        if (mistakes[i].offset + mistakes[i].length <= size &&
            !memcmp(file + mistakes[i].offset, mistakes[i].magic, mistakes[i].length))
            return mistakes[i].complaint;
    return "this is of no format that we know" RIGHT;
}

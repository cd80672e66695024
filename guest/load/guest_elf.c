/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/load/guest_elf.h"

#include <string.h>

#include "guest/load/map.h"
#include "guest/load/pvh.h"
#include "host/bits.h"

/* Below this a guest finds the start-of-day structures. */
#define LOWEST_SEGMENT KiB(64)

static bool in_file(u64 offset, u64 len, u64 size)
{
    return offset <= size && len <= size - offset;
}

static const char *check_header(const struct elf64_header *header, u64 size)
{
    static const u8 magic[4] = { 0x7F, 'E', 'L', 'F' };

    if (memcmp(header->ident, magic, sizeof(magic)))
        return "not an ELF file";
    if (header->ident[4] != ELF64_CLASS || header->ident[5] != ELF64_LITTLE_ENDIAN || header->machine != EM_X86_64)
        return "not a 64-bit x86 ELF file";
    if (header->phentsize != sizeof(struct elf64_segment) || header->phnum == 0 ||
        !in_file(header->phoff, (u64)header->phnum * sizeof(struct elf64_segment), size))
        return "ELF program headers are missing or cut off";
    return NULL;
}

static const char *add_segment(struct guest_elf *image, const struct elf64_segment *segment, u64 size, u64 low_ram)
{
    if (segment->memsz == 0)
        return NULL;
    if (image->nr_segments == GUEST_ELF_SEGMENTS)
        return "more than 16 loadable ELF segments";
    if (segment->filesz > segment->memsz || !in_file(segment->offset, segment->filesz, size))
        return "an ELF segment lies outside the file";
    if (segment->paddr < LOWEST_SEGMENT)
        return "an ELF segment lies below 64 KiB, where the start-of-day structures are";
    if (segment->paddr > low_ram || segment->memsz > low_ram - segment->paddr)
        return "an ELF segment lies outside the guest's memory: give the guest more, or link it lower";
    if (segment->paddr < MiB(1) && segment->paddr + segment->memsz > LEGACY_BASE)
        return "an ELF segment lies between 640 KiB and 1 MiB, where the firmware's tables are";
    for (u32 i = 0; i < image->nr_segments; i++) {
        const struct elf64_segment *other = &image->segment[i];

        if (segment->paddr < other->paddr + other->memsz && other->paddr < segment->paddr + segment->memsz)
            return "two ELF segments overlap in memory";
    }
    image->segment[image->nr_segments++] = *segment;
    image->end = MAX(image->end, segment->paddr + segment->memsz);
    return NULL;
}

/* Notes are {header, name, desc}, name and desc padded to 4. */
static void find_entry(struct guest_elf *image, const u8 *notes, u64 size)
{
    u64 at = 0;

    while (in_file(at, sizeof(struct elf64_note), size)) {
        struct elf64_note note;

        memcpy(&note, notes + at, sizeof(note));
        u64 name = at + sizeof(note), desc = name + align_up(note.namesz, 4);

        at = desc + align_up(note.descsz, 4);
        if (!in_file(desc, note.descsz, size))
            return;
        if (note.type == PVH_NOTE_PHYS32_ENTRY && note.namesz == sizeof(PVH_NOTE_NAME) && note.descsz >= 4 &&
            !memcmp(notes + name, PVH_NOTE_NAME, sizeof(PVH_NOTE_NAME)))
            memcpy(&image->entry, notes + desc, 4);
    }
}

const char *guest_elf_parse(struct guest_elf *image, const u8 *file, u64 size, u64 low_ram)
{
    struct elf64_header header;

    memset(image, 0, sizeof(*image));
    if (size < sizeof(header))
        return "too short to be an ELF file";
    memcpy(&header, file, sizeof(header));
    const char *reason = check_header(&header, size);

    for (u32 i = 0; !reason && i < header.phnum; i++) {
        struct elf64_segment segment;

        memcpy(&segment, file + header.phoff + (u64)i * sizeof(segment), sizeof(segment));
        if (segment.type == PT_LOAD)
            reason = add_segment(image, &segment, size, low_ram);
        else if (segment.type == PT_NOTE && in_file(segment.offset, segment.filesz, size))
            find_entry(image, file + segment.offset, segment.filesz);
    }
    if (reason)
        return reason;
    if (!image->nr_segments)
        return "no loadable ELF segment";
    if (!image->entry)
        return "no PVH entry note: build the kernel with CONFIG_PVH, or add the note (docs/guests.md)";
    return NULL;
}

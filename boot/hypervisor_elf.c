/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's ELF file. Whatever the file says is checked against its size before it is used; sums cannot wrap
 * because each operand has been bounded first.
 */
#include "boot/hypervisor_elf.h"

#include <assert.h>
#include <stddef.h>

#define PAGE_MASK 0xfffULL

/* ELF-64 Object File Format, "File header" and "Program header table". */
struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
static_assert(sizeof(struct elf_header) == 64 && offsetof(struct elf_header, phnum) == 56, "ELF-64 file header");

struct elf_program {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
static_assert(sizeof(struct elf_program) == 56 && offsetof(struct elf_program, memsz) == 40, "ELF-64 program header");

#define ET_EXEC 2
#define EM_X86_64 62
#define PT_LOAD 1
#define PF_X 1
#define PF_W 2

static const char *header_check(const struct elf_header *header, uint64_t size)
{
    static const uint8_t ident[] = { 0x7f, 'E', 'L', 'F', 2 /* 64 bits */, 1 /* little endian */, 1 /* version */ };

    if (size < sizeof(*header))
        return "too short for an ELF file, expected the hypervisor's ELF";
    for (unsigned i = 0; i < sizeof(ident); i++)
        if (header->ident[i] != ident[i])
            return "not a 64-bit little-endian ELF file, expected the hypervisor's ELF";
    if (header->type != ET_EXEC || header->machine != EM_X86_64)
        return "not a statically linked x86-64 executable, expected the hypervisor's ELF";
    if (header->phentsize != sizeof(struct elf_program) || header->phoff % 8 != 0 || header->phoff > size ||
        header->phnum > (size - header->phoff) / sizeof(struct elf_program))
        return "the ELF program headers lie outside of the file, is it cut off?";
    return NULL;
}

static const char *segment_add(struct hypervisor_elf *image, const struct elf_program *program, uint64_t file_size)
{
    struct elf_segment *segment = &image->segment[image->nr_segments];

    if (image->nr_segments == HYPERVISOR_SEGMENTS)
        return "too many ELF segments, expected at most 8";
    if (program->offset > file_size || program->filesz > file_size - program->offset ||
        program->filesz > program->memsz)
        return "an ELF segment lies outside of the file, is it cut off?";
    if (program->vaddr < HYPERVISOR_VIRT_MIN || program->vaddr - HYPERVISOR_VIRT_MIN > HYPERVISOR_SIZE_MAX ||
        program->memsz > HYPERVISOR_SIZE_MAX - (program->vaddr - HYPERVISOR_VIRT_MIN))
        return "an ELF segment is linked outside of 0xffffffff80000000..0xffffffffc0000000";
    if (program->vaddr & PAGE_MASK)
        return "an ELF segment does not start on a page of its own";
    if (image->nr_segments > 0 && program->vaddr < image->virt + image->size)
        return "the ELF segments share a page or are not in ascending order";
    if ((program->flags & PF_W) && (program->flags & PF_X))
        return "an ELF segment is writable and executable, expected one or the other";
    *segment = (struct elf_segment){ program->offset, program->filesz,       program->vaddr,
                                     program->memsz,  program->flags & PF_W, program->flags & PF_X };
    if (image->nr_segments++ == 0)
        image->virt = program->vaddr;
    image->size = ((program->vaddr + program->memsz + PAGE_MASK) & ~PAGE_MASK) - image->virt;
    return NULL;
}

static bool entry_valid(const struct hypervisor_elf *image)
{
    for (unsigned i = 0; i < image->nr_segments; i++) {
        const struct elf_segment *segment = &image->segment[i];

        if (segment->exec && image->entry >= segment->virt && image->entry - segment->virt < segment->file_size)
            return true;
    }
    return false;
}

const char *hypervisor_elf_parse(const void *file, uint64_t size, struct hypervisor_elf *image)
{
    const struct elf_header *header = file;
    const char *wrong = header_check(header, size);
    const struct elf_program *program;

    if (wrong)
        return wrong;
    *image = (struct hypervisor_elf){ .entry = header->entry };
    program = (const void *)((const char *)file + header->phoff);
    for (unsigned i = 0; i < header->phnum; i++) {
        if (program[i].type != PT_LOAD || program[i].memsz == 0)
            continue;
        wrong = segment_add(image, &program[i], size);
        if (wrong)
            return wrong;
    }
    return entry_valid(image) ? NULL : "the ELF entry point is not in an executable segment";
}

void hypervisor_elf_load(const struct hypervisor_elf *image, const void *file, void *memory)
{
    for (unsigned i = 0; i < image->nr_segments; i++) {
        const struct elf_segment *segment = &image->segment[i];

        __builtin_memcpy((char *)memory + (segment->virt - image->virt), (const char *)file + segment->offset,
                         segment->file_size);
    }
}

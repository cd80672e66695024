/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Symbols (System V ABI "Object Files"). The file comes from the boot volume, so it is checked once: afterwards every
 * symbol and every name is known to lie inside. A search is linear: it happens in backtraces only.
 */
#include "host/symbols.h"

#include <elf.h>
#include <string.h>

#include "host/bits.h"
#define LOG_PREFIX "symbols"
#include "host/log.h"

static struct {
    const Elf64_Sym *symbols;
    size_t nr_symbols;
    const char *names; /* ends with a 0 byte */
    size_t names_size;
} table;

/* Does [offset, offset+length) lie in the file? */
static bool range_valid(size_t size, u64 offset, u64 length)
{
    return offset <= size && length <= size - offset;
}

/* As a table of structs of 64-bit words, in a file that starts aligned? */
static bool table_valid(size_t size, u64 offset, u64 length)
{
    return range_valid(size, offset, length) && is_aligned(offset, 8);
}

static bool header_valid(const Elf64_Ehdr *header, size_t size)
{
    return size >= sizeof(*header) && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
           header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_ident[EI_DATA] == ELFDATA2LSB &&
           header->e_shentsize == sizeof(Elf64_Shdr) &&
           table_valid(size, header->e_shoff, (u64)header->e_shnum * sizeof(Elf64_Shdr));
}

/* Take the symbol table at section `symtab` and the string table that it links to. */
static bool table_take(const char *file, size_t size, const Elf64_Shdr *sections, unsigned count,
                       const Elf64_Shdr *symtab)
{
    const Elf64_Shdr *strtab = &sections[symtab->sh_link];

    if (symtab->sh_link >= count || strtab->sh_type != SHT_STRTAB || symtab->sh_entsize != sizeof(Elf64_Sym))
        return false;
    if (!table_valid(size, symtab->sh_offset, symtab->sh_size) ||
        !range_valid(size, strtab->sh_offset, strtab->sh_size))
        return false;
    if (strtab->sh_size == 0 || file[strtab->sh_offset + strtab->sh_size - 1] != '\0')
        return false;
    table.symbols = (const Elf64_Sym *)(file + symtab->sh_offset);
    table.nr_symbols = symtab->sh_size / sizeof(Elf64_Sym);
    table.names = file + strtab->sh_offset;
    table.names_size = strtab->sh_size;
    return true;
}

static bool table_find(const char *file, size_t size)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Shdr *sections;

    if (!header_valid(header, size))
        return false;
    sections = (const Elf64_Shdr *)(file + header->e_shoff);
    for (unsigned i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB)
            return table_take(file, size, sections, header->e_shnum, &sections[i]);
    return false;
}

void symbols_init(const void *file, size_t size)
{
    table.nr_symbols = 0;
    if (!table_find(file, size))
        pr_warn("the hypervisor's file has no usable symbol table: backtraces show addresses only");
}

/* A function of ours, with its name in the table. */
static bool symbol_valid(const Elf64_Sym *symbol)
{
    return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_shndx != SHN_UNDEF && symbol->st_name != 0 &&
           symbol->st_name < table.names_size;
}

const char *symbol_find(u64 address, u64 *offset)
{
    const Elf64_Sym *best = NULL;

    for (size_t i = 0; i < table.nr_symbols; i++) {
        const Elf64_Sym *symbol = &table.symbols[i];

        if (symbol_valid(symbol) && symbol->st_value <= address && (!best || symbol->st_value >= best->st_value))
            best = symbol;
    }
    /* Assembler's functions may have no size: they reach to the next. */
    if (!best || (best->st_size != 0 && address - best->st_value >= best->st_size))
        return NULL;
    *offset = address - best->st_value;
    return table.names + best->st_name;
}

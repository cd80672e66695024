/* SPDX-License-Identifier: BSD-2-Clause */
/* What we use of the ELF64 format (System V ABI, "Object Files"). Constants and layouts only. */
#pragma once

#include "host/types.h"

#define ELF64_CLASS 2
#define ELF64_LITTLE_ENDIAN 1
#define EM_X86_64 62
#define PT_LOAD 1
#define PT_NOTE 4

struct elf64_header {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, phoff, shoff;
    u32 flags;
    u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_segment {
    u32 type, flags;
    u64 offset, vaddr, paddr, filesz, memsz, align;
};

struct elf64_note {
    u32 namesz, descsz, type;
};

_Static_assert(sizeof(struct elf64_header) == 64, "ELF64 header");
_Static_assert(sizeof(struct elf64_segment) == 56, "ELF64 program header");

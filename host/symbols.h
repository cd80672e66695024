/* SPDX-License-Identifier: BSD-2-Clause */
/* Names for addresses, from the symbol table of our own ELF file that the loader left in memory. */
#pragma once

#include "host/types.h"

/*
 * Use the ELF64 file at [file, file+size). The file is checked; one that is not ELF64 is ignored with a warning. Its
 * memory must stay.
 */
void symbols_init(const void *file, size_t size);

/* The function that contains address and the offset into it, or NULL. Any context. */
const char *symbol_find(u64 address, u64 *offset);

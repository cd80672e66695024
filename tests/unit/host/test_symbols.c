/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for addresses: right ones from a good file, and no reading outside of a bad one. Each file is a heap block of
 * exactly its length, so that the address sanitizer sees any step beyond.
 */
/* sources: host/symbols.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <elf.h>

#include "host/bits.h"
#include "host/symbols.h"

#define TEXT 0xFFFFFFFF80000000ULL

/* A file with nothing but a header, two tables and their section headers. */
struct file {
    Elf64_Ehdr header;
    Elf64_Shdr section[3]; /* null, symbols, names */
    Elf64_Sym symbol[7];
    char names[48];
};

static const struct file good = {
    .header = {
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
        .e_shoff = offsetof(struct file, section),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = 3,
    },
    .section = {
        [1] = {
            .sh_type = SHT_SYMTAB,
            .sh_offset = offsetof(struct file, symbol),
            .sh_size = sizeof(good.symbol),
            .sh_entsize = sizeof(Elf64_Sym),
            .sh_link = 2,
        },
        [2] = {
            .sh_type = SHT_STRTAB,
            .sh_offset = offsetof(struct file, names),
            .sh_size = sizeof(good.names),
        },
    },
    /* Not sorted: linkers don't. */
    .symbol = {
        [1] = { .st_name = 9, .st_info = STT_FUNC, .st_shndx = 1, .st_value = TEXT + 0x100, .st_size = 0x40 },
        [2] = { .st_name = 1, .st_info = STT_FUNC, .st_shndx = 1, .st_value = TEXT, .st_size = 0x80 },
        [3] = { .st_name = 16, .st_info = STT_OBJECT, .st_shndx = 1, .st_value = TEXT + 0x20, .st_size = 8 },
        [4] = { .st_name = 23, .st_info = STT_FUNC, .st_shndx = 1, .st_value = TEXT + 0x200, .st_size = 0 },
        [5] = { .st_name = 30, .st_info = STT_FUNC, .st_shndx = SHN_UNDEF, .st_value = TEXT + 0x60, .st_size = 8 },
        [6] = { .st_name = 999, .st_info = STT_FUNC, .st_shndx = 1, .st_value = TEXT + 0x130, .st_size = 8 },
    },
    .names = "\0hv_main\0second\0object\0memcpy\0absent",
};

/* The table keeps pointing at the file of the last symbols_init. */
static void *file;

static void load(const void *content, size_t size)
{
    free(file);
    file = malloc(size ? size : 1);
    assert_non_null(file);
    memcpy(file, content, size);
    symbols_init(file, size);
}

static int teardown(void **state)
{
    (void)state;
    symbols_init("", 0);
    free(file);
    file = NULL;
    return 0;
}

static void expect(u64 address, const char *name, u64 offset)
{
    u64 found = ~0ULL;
    const char *symbol = symbol_find(address, &found);

    if (!name) {
        assert_null(symbol);
        return;
    }
    assert_non_null(symbol);
    assert_string_equal(symbol, name);
    assert_int_equal(found, offset);
}

static void test_good(void **state)
{
    (void)state;
    load(&good, sizeof(good));
    expect(TEXT, "hv_main", 0);
    expect(TEXT + 0x7F, "hv_main", 0x7F);
    expect(TEXT + 0x80, NULL, 0);         /* between functions */
    expect(TEXT + 0x24, "hv_main", 0x24); /* data and undefined symbols don't count */
    expect(TEXT + 0x64, "hv_main", 0x64);
    expect(TEXT + 0x134, "second", 0x34);    /* a name outside of the table doesn't either */
    expect(TEXT + 0x1234, "memcpy", 0x1034); /* no size: to the next symbol */
    expect(TEXT - 1, NULL, 0);
    expect(0, NULL, 0);
}

static void test_none(void **state)
{
    (void)state;
    load("", 0);
    expect(TEXT, NULL, 0);
    load("not an ELF file, but longer than the header of one: that has sixty-four bytes", 77);
    expect(TEXT, NULL, 0);
}

/* A bad file replaces a good one's names by none. */
static void refuse(const struct file *bad, size_t size)
{
    load(&good, sizeof(good));
    expect(TEXT, "hv_main", 0);
    load(bad, size);
    expect(TEXT, NULL, 0);
}

static void test_truncated(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof(good); size++)
        refuse(&good, size);
}

#define REFUSE(field, value)       \
    do {                           \
        struct file bad = good;    \
                                   \
        bad.field = (value);       \
        refuse(&bad, sizeof(bad)); \
    } while (0)

static void test_hostile(void **state)
{
    (void)state;
    REFUSE(header.e_ident[EI_CLASS], ELFCLASS32);
    REFUSE(header.e_ident[EI_DATA], ELFDATA2MSB);
    REFUSE(header.e_shoff, ~0ULL);
    REFUSE(header.e_shoff, ~7ULL);
    REFUSE(header.e_shoff, sizeof(good));
    REFUSE(header.e_shoff, offsetof(struct file, section) + 4);
    REFUSE(header.e_shnum, 0xFFFF);
    REFUSE(header.e_shnum, 0);
    REFUSE(header.e_shentsize, 1);
    REFUSE(section[1].sh_type, SHT_NULL);
    REFUSE(section[1].sh_link, 0xFFFFFFFF);
    REFUSE(section[1].sh_link, 1);
    REFUSE(section[1].sh_entsize, 1);
    REFUSE(section[1].sh_offset, ~7ULL);
    REFUSE(section[1].sh_offset, offsetof(struct file, symbol) + 1);
    REFUSE(section[1].sh_size, ~0ULL);
    REFUSE(section[1].sh_size, sizeof(good));
    REFUSE(section[2].sh_offset, ~0ULL);
    REFUSE(section[2].sh_offset, sizeof(good) + 1);
    REFUSE(section[2].sh_size, ~0ULL);
    REFUSE(section[2].sh_size, 0);
    REFUSE(section[2].sh_size, sizeof(good.names) + 1);
    REFUSE(section[2], ((Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_offset = 1, .sh_size = ~0ULL })); /* wraps around */
    REFUSE(names[sizeof(good.names) - 1], 'x'); /* the last name has no end */
}

/* Whatever a byte becomes: refused, or names that end inside the file. */
static void test_any_byte(void **state)
{
    (void)state;
    for (size_t at = 0; at < sizeof(good); at++) {
        struct file bad = good;

        ((u8 *)&bad)[at] ^= 0xFF;
        load(&bad, sizeof(bad));
        for (u64 address = TEXT - 0x10; address < TEXT + 0x400; address += 0x10) {
            u64 offset;
            const char *name = symbol_find(address, &offset);

            if (name)
                assert_in_range(strlen(name), 0, sizeof(good.names));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_good, teardown),      cmocka_unit_test_teardown(test_none, teardown),
        cmocka_unit_test_teardown(test_truncated, teardown), cmocka_unit_test_teardown(test_hostile, teardown),
        cmocka_unit_test_teardown(test_any_byte, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

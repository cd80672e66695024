/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's ELF file: what the boot application accepts, and that damaged files are refused, never trusted. */
/* sources: boot/hypervisor_elf.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <elf.h>

#include <cmocka.h>

#include "boot/hypervisor_elf.h"

#define FILE_SIZE 0x3000

static struct {
    Elf64_Ehdr header;
    Elf64_Phdr program[3];
    uint8_t rest[FILE_SIZE - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr)];
} file;
static struct hypervisor_elf image;

/* Text, a note that is not loaded, and data that grows by zeroes: a small but complete file. */
static int file_make(void **state)
{
    uint8_t *bytes = (uint8_t *)&file;

    (void)state;
    for (size_t i = 0; i < sizeof(file); i++)
        bytes[i] = (uint8_t)(i * 7);
    file.header = (Elf64_Ehdr){ .e_type = ET_EXEC,
                                .e_machine = EM_X86_64,
                                .e_version = 1,
                                .e_entry = HYPERVISOR_VIRT_MIN + 0x10,
                                .e_phoff = sizeof(Elf64_Ehdr),
                                .e_phentsize = sizeof(Elf64_Phdr),
                                .e_phnum = 3 };
    memcpy(file.header.e_ident, ELFMAG "\2\1\1", 7);
    file.program[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
                                    .p_flags = PF_R | PF_X,
                                    .p_offset = 0x1000,
                                    .p_vaddr = HYPERVISOR_VIRT_MIN,
                                    .p_filesz = 0x800,
                                    .p_memsz = 0x800 };
    file.program[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = ~0ULL, .p_filesz = ~0ULL };
    file.program[2] = (Elf64_Phdr){ .p_type = PT_LOAD,
                                    .p_flags = PF_R | PF_W,
                                    .p_offset = 0x2000,
                                    .p_vaddr = HYPERVISOR_VIRT_MIN + 0x3000,
                                    .p_filesz = 0x100,
                                    .p_memsz = 0x1234 };
    return 0;
}

static void refused(const char *says)
{
    const char *wrong = hypervisor_elf_parse(&file, sizeof(file), &image);

    assert_non_null(wrong);
    if (!strstr(wrong, says))
        fail_msg("\"%s\" does not say \"%s\"", wrong, says);
}

static void a_good_file_is_laid_out(void **state)
{
    static uint8_t memory[0x5000];

    (void)state;
    assert_null(hypervisor_elf_parse(&file, sizeof(file), &image));
    assert_int_equal(image.virt, HYPERVISOR_VIRT_MIN);
    assert_int_equal(image.size, sizeof(memory));
    assert_int_equal(image.entry, HYPERVISOR_VIRT_MIN + 0x10);
    assert_int_equal(image.nr_segments, 2);
    assert_true(image.segment[0].exec && !image.segment[0].write);
    assert_true(image.segment[1].write && !image.segment[1].exec);

    hypervisor_elf_load(&image, &file, memory);
    assert_memory_equal(memory, (uint8_t *)&file + 0x1000, 0x800);
    assert_memory_equal(memory + 0x3000, (uint8_t *)&file + 0x2000, 0x100);
    for (size_t i = 0x3100; i < sizeof(memory); i++)
        assert_int_equal(memory[i], 0);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    file.header.e_ident[EI_CLASS] = ELFCLASS32;
    refused("not a 64-bit");
    file_make(NULL);
    file.header.e_type = ET_DYN;
    refused("statically linked x86-64");
    file_make(NULL);
    file.header.e_machine = EM_AARCH64;
    refused("statically linked x86-64");
    file_make(NULL);
    file.header.e_phoff = sizeof(file) - 64;
    refused("program headers lie outside");
    file.header.e_phoff = ~7ULL;
    refused("program headers lie outside");
    file_make(NULL);
    file.header.e_phnum = 0;
    refused("entry point");
}

static void bad_segments_are_refused(void **state)
{
    (void)state;
    file.program[0].p_flags = PF_R | PF_W | PF_X;
    refused("writable and executable");
    file_make(NULL);
    file.program[2].p_vaddr = HYPERVISOR_VIRT_MIN;
    refused("share a page or are not in ascending order");
    file_make(NULL);
    file.program[2].p_vaddr += 0x10;
    refused("page of its own");
    file_make(NULL);
    file.program[2].p_offset = sizeof(file) - 0xff;
    refused("lies outside of the file");
    file.program[2].p_offset = ~0ULL - 0x50; /* the sum of offset and size wraps */
    refused("lies outside of the file");
    file_make(NULL);
    file.program[2].p_filesz = 0x200;
    file.program[2].p_memsz = 0x100;
    refused("lies outside of the file");
    file_make(NULL);
    file.program[2].p_memsz = ~0ULL;
    refused("linked outside");
    file_make(NULL);
    file.program[0].p_vaddr = 0x100000;
    refused("linked outside");
    file_make(NULL);
    file.header.e_entry = HYPERVISOR_VIRT_MIN + 0x3000; /* data */
    refused("entry point");
    file.header.e_entry = HYPERVISOR_VIRT_MIN + 0x800; /* just behind the code */
    refused("entry point");
}

static void a_cut_file_is_refused_or_harmless(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof(file); size += 8) {
        void *copy = malloc(size ? size : 1);
        bool whole = size >= 0x2100; /* the end of the last segment */

        assert_non_null(copy);
        memcpy(copy, &file, size);
        assert_int_equal(hypervisor_elf_parse(copy, size, &image) == NULL, whole);
        free(copy);
    }
}

/* Random damage to the headers: what is still accepted loads without leaving file or memory. */
static void random_headers(void **state)
{
    const size_t headers = sizeof(file.header) + sizeof(file.program);

    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        void *memory;

        file_make(NULL);
        for (int i = 0; i < 3; i++)
            ((uint8_t *)&file)[(size_t)rand() % headers] = (uint8_t)rand();
        if (hypervisor_elf_parse(&file, sizeof(file), &image) || image.size > 1 << 20)
            continue;
        memory = calloc(1, image.size);
        assert_non_null(memory);
        hypervisor_elf_load(&image, &file, memory);
        free(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_good_file_is_laid_out, file_make),
        cmocka_unit_test_setup(other_files_are_refused, file_make),
        cmocka_unit_test_setup(bad_segments_are_refused, file_make),
        cmocka_unit_test_setup(a_cut_file_is_refused_or_harmless, file_make),
        cmocka_unit_test_setup(random_headers, file_make),
    };

    return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}

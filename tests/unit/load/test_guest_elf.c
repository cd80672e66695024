/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: guest/load/guest_elf.c */
/* ELF guests with a PVH note: what is accepted, and that wrong, damaged and hostile files are refused, never trusted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/load/guest_elf.h"
#include "host/bits.h"

#define LOW_RAM MiB(16)
#define ENTRY 0x100020

struct elf_file {
    struct elf64_header header;
    struct elf64_segment segment[3];
    struct elf64_note other, note;
    char other_name[4], name[4];
    u32 entry;
    u8 code[0x400];
};

static struct elf_file *file; /* from malloc: reading past its end is found */
static struct guest_elf image;

/* Text, data that grows by zeroes, and a note: a small but complete file. */
static int setup(void **state)
{
    (void)state;
    file = calloc(1, sizeof(*file));
    file->header = (struct elf64_header){
        .ident = { 0x7F, 'E', 'L', 'F', ELF64_CLASS, ELF64_LITTLE_ENDIAN, 1 },
        .machine = EM_X86_64,
        .phoff = offsetof(struct elf_file, segment),
        .phentsize = sizeof(struct elf64_segment),
        .phnum = 3,
    };
    u64 code = offsetof(struct elf_file, code);

    file->segment[0] =
        (struct elf64_segment){ .type = PT_LOAD, .offset = code, .paddr = MiB(1), .filesz = 0x200, .memsz = 0x200 };
    file->segment[1] = (struct elf64_segment){
        .type = PT_LOAD, .offset = code + 0x200, .paddr = MiB(1) + 0x1000, .filesz = 0x200, .memsz = 0x5000
    };
    /* One note of another owner's without contents, {header, name}, then ours. */
    u8 *notes = (u8 *)&file->other;
    struct elf64_note other = { .namesz = 4, .type = 18 }, note = { .namesz = 4, .descsz = 4, .type = 18 };
    u32 entry = ENTRY;

    memcpy(notes, &other, 12);
    memcpy(notes + 12, "GNU", 4);
    memcpy(notes + 16, &note, 12);
    memcpy(notes + 28, "Xen", 4);
    memcpy(notes + 32, &entry, 4);
    file->segment[2] =
        (struct elf64_segment){ .type = PT_NOTE, .offset = offsetof(struct elf_file, other), .filesz = 36 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(file);
    return 0;
}

static const char *parse(void)
{
    return guest_elf_parse(&image, (const u8 *)file, sizeof(*file), LOW_RAM);
}

static void refused(const char *says)
{
    const char *reason = parse();

    assert_non_null(reason);
    if (!strstr(reason, says))
        fail_msg("\"%s\" does not say \"%s\"", reason, says);
}

static void a_good_file_is_laid_out(void **state)
{
    (void)state;
    assert_null(parse());
    assert_int_equal(image.entry, ENTRY);
    assert_int_equal(image.nr_segments, 2);
    assert_int_equal(image.segment[1].memsz, 0x5000);
    assert_int_equal(image.end, MiB(1) + 0x6000);
}

static void wrong_headers_are_refused(void **state)
{
    (void)state;
    file->header.ident[1] = 'e';
    refused("not an ELF file");
    file->header.ident[1] = 'E';
    file->header.ident[4] = 1;
    refused("not a 64-bit x86");
    file->header.ident[4] = ELF64_CLASS;
    file->header.machine = 183;
    refused("not a 64-bit x86");
    file->header.machine = EM_X86_64;
    file->header.phentsize = 32;
    refused("program headers");
    file->header.phentsize = sizeof(struct elf64_segment);
    file->header.phnum = 0;
    refused("program headers");
    file->header.phnum = 0xFFFF;
    refused("program headers");
    file->header.phnum = 3;
    file->header.phoff = ~0ULL - 8;
    refused("program headers");
}

static void segments_stay_in_file_and_memory(void **state)
{
    static const struct {
        struct elf64_segment segment;
        const char *says;
    } wrong[] = {
        { { .paddr = MiB(1), .filesz = 2, .memsz = 1 }, "outside the file" },
        { { .paddr = MiB(1), .offset = ~0ULL, .filesz = 2, .memsz = 2 }, "outside the file" },
        { { .paddr = MiB(1), .filesz = 1 << 20, .memsz = 1 << 20 }, "outside the file" },
        { { .paddr = 0x1000, .memsz = 1 }, "below 64 KiB" },
        { { .paddr = 0x9F000, .memsz = 0x2000 }, "between 640 KiB and 1 MiB" },
        { { .paddr = 0xFFFFF, .memsz = 1 }, "between 640 KiB and 1 MiB" },
        { { .paddr = LOW_RAM - 1, .memsz = 2 }, "outside the guest's memory" },
        { { .paddr = ~0ULL - 1, .memsz = 1 }, "outside the guest's memory" },
        { { .paddr = MiB(2), .memsz = ~0ULL }, "outside the guest's memory" },
        { { .paddr = MiB(1) + 0x5FFF, .memsz = 1 }, "overlap" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        file->segment[0] = wrong[i].segment;
        file->segment[0].type = PT_LOAD;
        refused(wrong[i].says);
    }
}

static void an_entry_is_needed(void **state)
{
    (void)state;
    file->segment[2].filesz = 35; /* ours is cut */
    refused("no PVH entry note");
    file->segment[2].filesz = 0;
    refused("no PVH entry note");
    file->segment[2].filesz = 36;
    file->segment[2].offset = ~0ULL;
    refused("no PVH entry note");
}

static void something_is_to_be_loaded(void **state)
{
    (void)state;
    file->segment[0].memsz = file->segment[1].memsz = 0;
    refused("no loadable ELF segment");
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    for (u64 size = 0; size < offsetof(struct elf_file, code) + 0x400; size++) {
        u8 *cut = malloc(size ? size : 1);

        memcpy(cut, file, size);
        assert_non_null(guest_elf_parse(&image, cut, size, LOW_RAM));
        free(cut);
    }
}

static void random_damage_never_escapes(void **state)
{
    (void)state;
    srand(1);
    for (unsigned run = 0; run < 300000; run++) {
        unsigned at = (unsigned)rand() % offsetof(struct elf_file, code);
        u8 *bytes = (u8 *)file, saved = bytes[at];

        bytes[at] = (u8)rand();
        if (!parse())
            for (u32 i = 0; i < image.nr_segments; i++) {
                assert_true(image.segment[i].offset + image.segment[i].filesz <= sizeof(*file));
                assert_true(image.segment[i].paddr + image.segment[i].memsz <= LOW_RAM);
            }
        bytes[at] = saved;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_good_file_is_laid_out, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_headers_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_stay_in_file_and_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(an_entry_is_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(something_is_to_be_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(cut_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(random_damage_never_escapes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

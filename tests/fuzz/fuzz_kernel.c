/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: guest/load/format.c guest/load/bzimage_parse.c guest/load/guest_elf.c */
/*
 * libFuzzer entry for kernels' files: bytes as they are, or changes to the header of a good bzImage or ELF file. What
 * is laid out lies in the file and in the guest's RAM; what is refused is refused in words.
 */
#include "tests/fuzz/fuzz.h"

#include "guest/load/bzimage.h"
#include "guest/load/guest_elf.h"
#include "guest/load/format.h"

#define FILE_MAX KiB(64)
#define GOOD_SIZE 0x4000

static void put(u8 *file, unsigned offset, u64 value, unsigned bytes)
{
    memcpy(file + offset, &value, bytes);
}

static void good_bzimage(u8 *file)
{
    put(file, 0x1F1, 4, 1);
    put(file, 0x1F4, (GOOD_SIZE - 5 * 512) / 16, 4);
    put(file, 0x1FE, 0xAA55, 2);
    put(file, 0x200, 0x66EB, 2);
    memcpy(file + 0x202, "HdrS", 4);
    put(file, 0x206, 0x020F, 2);
    put(file, 0x211, 1, 1);
    put(file, 0x22C, 0x7FFFFFFF, 4);
    put(file, 0x230, MiB(2), 4);
    put(file, 0x234, 1, 1);
    put(file, 0x236, 3, 2);
    put(file, 0x238, 2047, 4);
    put(file, 0x258, MiB(16), 8);
    put(file, 0x260, MiB(40), 4);
}

static void good_elf(u8 *file)
{
    struct elf64_header header = { .ident = { 0x7F, 'E', 'L', 'F', ELF64_CLASS, ELF64_LITTLE_ENDIAN, 1 },
                                   .machine = EM_X86_64,
                                   .phoff = sizeof(header),
                                   .phentsize = sizeof(struct elf64_segment),
                                   .phnum = 2 };
    struct elf64_segment load = { .type = PT_LOAD, .offset = 0x400, .paddr = MiB(1), .filesz = 0x200, .memsz = 0x400 };
    struct elf64_segment notes = { .type = PT_NOTE, .offset = 0x200, .filesz = 20, .memsz = 20 };
    struct elf64_note note = { .namesz = 4, .descsz = 4, .type = 18 };

    memcpy(file, &header, sizeof(header));
    memcpy(file + 64, &load, sizeof(load));
    memcpy(file + 64 + sizeof(load), &notes, sizeof(notes));
    memcpy(file + 0x200, &note, 12);
    memcpy(file + 0x20C, "Xen", 4);
    put(file, 0x210, MiB(1), 4);
}

/* A good file with up to 16 changes. */
static size_t changed(struct fuzz *fuzz, u8 *file, bool elf)
{
    memset(file, 0, GOOD_SIZE);
    (elf ? good_elf : good_bzimage)(file);
    for (unsigned i = 0; i < 16 && fuzz->size; i++) {
        u64 at = fuzz_number(fuzz, 2) % 0x280, bytes = 1 + fuzz_u8(fuzz) % 8;

        put(file, (unsigned)at, fuzz_number(fuzz, (unsigned)bytes), (unsigned)bytes);
    }
    return GOOD_SIZE - fuzz_number(fuzz, 2) % GOOD_SIZE;
}

static void check_bzimage(const struct bzimage_request *r)
{
    struct bzimage kernel;
    const char *why = bzimage_parse(&kernel, r);

    REQUIRE(!why || why[0]);
    if (why)
        return;
    REQUIRE(kernel.header >= r->file && kernel.header + kernel.header_size <= r->file + r->size);
    REQUIRE(kernel.code <= r->size && kernel.code_size <= r->size - kernel.code);
    REQUIRE(kernel.base <= r->low_ram && kernel.init_size <= r->low_ram - kernel.base);
    REQUIRE(kernel.code_size <= kernel.init_size);
    if (r->initrd_size) {
        REQUIRE(kernel.initrd <= r->low_ram && r->initrd_size <= r->low_ram - kernel.initrd);
        REQUIRE(kernel.initrd >= kernel.base + kernel.init_size || kernel.initrd + r->initrd_size <= kernel.base);
    }
}

static void check_elf(const u8 *file, u64 size, u64 low_ram)
{
    struct guest_elf image;
    const char *why = guest_elf_parse(&image, file, size, low_ram);

    REQUIRE(!why || why[0]);
    if (why)
        return;
    REQUIRE(image.nr_segments && image.nr_segments <= GUEST_ELF_SEGMENTS && image.end <= low_ram);
    for (unsigned i = 0; i < image.nr_segments; i++) {
        const struct elf64_segment *s = &image.segment[i];

        REQUIRE(s->offset <= size && s->filesz <= size - s->offset && s->filesz <= s->memsz);
        REQUIRE(s->paddr <= image.end && s->memsz <= image.end - s->paddr);
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static u8 buffer[FILE_MAX];
    struct fuzz fuzz = { data, size };
    u8 kind = fuzz_u8(&fuzz);
    struct bzimage_request request = { .initrd_size = fuzz_number(&fuzz, 4),
                                       .cmdline_length = fuzz_number(&fuzz, 2),
                                       .low_ram = MiB(fuzz_number(&fuzz, 2) % 3072 + 1) };

    if (kind & 1)
        request.size = changed(&fuzz, buffer, kind & 2);
    else
        request.size = MIN(fuzz.size, sizeof(buffer));

    u8 *file = malloc(request.size ? request.size : 1); /* of exactly its size, for the sanitizer */

    REQUIRE(file);
    memcpy(file, kind & 1 ? buffer : fuzz.data, request.size);
    request.file = file;
    const char *complaint = format_complaint(file, request.size);

    REQUIRE(!complaint || complaint[0]);
    if (bzimage_probe(file, request.size))
        check_bzimage(&request);
    check_elf(file, request.size, request.low_ram);
    free(file);
    return 0;
}

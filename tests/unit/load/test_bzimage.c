/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: guest/load/format.c guest/load/bzimage_parse.c */
/* Linux kernels: what is accepted, where it goes, and that wrong, damaged and hostile headers are refused, never
 * trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/load/bzimage.h"
#include "guest/load/format.h"
#include "host/bits.h"

#define SETUP_SECTORS 4
#define CODE_AT ((SETUP_SECTORS + 1) * 512)
#define CODE_SIZE 0x4000
#define FILE_SIZE (CODE_AT + CODE_SIZE)
#define PREFERRED MiB(16)
#define INIT_SIZE MiB(40)

static u8 *file; /* from malloc: reading past its end is found */
static struct bzimage_request request;
static struct bzimage kernel;

static void put(unsigned offset, u64 value, unsigned bytes)
{
    memcpy(file + offset, &value, bytes);
}

/* A small but complete kernel, and a guest with room for it. */
static int setup(void **state)
{
    (void)state;
    file = calloc(1, FILE_SIZE);
    put(0x1F1, SETUP_SECTORS, 1);
    put(0x1F4, CODE_SIZE / 16, 4);
    put(0x1FE, 0xAA55, 2);
    put(0x200, 0x66EB, 2); /* jmp over the header, which ends at 0x268 */
    memcpy(file + 0x202, "HdrS", 4);
    put(0x206, 0x020F, 2);
    put(0x211, 1, 1);
    put(0x22C, 0x7FFFFFFF, 4);
    put(0x230, MiB(2), 4);
    put(0x234, 1, 1);
    put(0x236, 3, 2);
    put(0x238, 2047, 4);
    put(0x258, PREFERRED, 8);
    put(0x260, INIT_SIZE, 4);
    request = (struct bzimage_request){
        .file = file,
        .size = FILE_SIZE,
        .initrd_size = MiB(4),
        .cmdline_length = 100,
        .low_ram = MiB(256),
    };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(file);
    return 0;
}

static void refused(const char *says)
{
    const char *reason = bzimage_parse(&kernel, &request);

    assert_non_null(reason);
    if (!strstr(reason, says))
        fail_msg("\"%s\" does not say \"%s\"", reason, says);
}

static void a_good_kernel_is_laid_out(void **state)
{
    (void)state;
    assert_null(format_complaint(file, FILE_SIZE));
    assert_null(bzimage_parse(&kernel, &request));
    assert_int_equal(kernel.code, CODE_AT);
    assert_int_equal(kernel.code_size, CODE_SIZE);
    assert_int_equal(kernel.base, PREFERRED);
    assert_int_equal(kernel.initrd, MiB(252));
    assert_ptr_equal(kernel.header, file + 0x1F1);
    assert_int_equal(kernel.header_size, 0x268 - 0x1F1);
}

static void no_setup_sectors_means_four(void **state)
{
    (void)state;
    put(0x1F1, 0, 1);
    assert_null(bzimage_parse(&kernel, &request));
    assert_int_equal(kernel.code, CODE_AT);
}

static void each_field_is_checked(void **state)
{
    static const struct {
        unsigned offset, bytes;
        u64 value;
        const char *says;
    } wrong[] = {
        { 0x1FE, 2, 0x55AA, "not a Linux bzImage" },
        { 0x202, 1, 'h', "not a Linux bzImage" },
        { 0x206, 2, 0x020B, "older than boot protocol 2.12" },
        { 0x211, 1, 0, "zImage" },
        { 0x236, 2, 2, "without a 64-bit entry" },
        { 0x201, 1, 0x10, "shorter than its version says" },
        { 0x1F4, 4, 0, "without a protected-mode part" },
        { 0x1F4, 4, CODE_SIZE / 16 + 1, "cut off" },
        { 0x1F4, 4, 0xFFFFFFFF, "cut off" },
        { 0x1F1, 1, 255, "cut off" },
        { 0x230, 4, 0, "contradict" },
        { 0x230, 4, 0x300000, "contradict" },
        { 0x230, 4, 1, "contradict" },
        { 0x258, 8, PREFERRED + 0x1000, "contradict" },
        { 0x258, 8, 0, "impossible" },
        { 0x258, 8, ~0ULL << 21, "impossible" },
        { 0x260, 4, 0x1000, "smaller than itself" },
        { 0x260, 4, 0xFFFFFFFF, "does not fit into the guest's memory" },
        { 0x238, 4, 99, "command line is longer" },
        { 0x22C, 4, 0, "initrd does not fit" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        setup(state);
        put(wrong[i].offset, wrong[i].value, wrong[i].bytes);
        refused(wrong[i].says);
        teardown(state);
    }
}

static void a_cut_file_is_refused(void **state)
{
    u8 *whole = file;

    (void)state;
    for (u64 size = 0; size <= FILE_SIZE - 16; size += size < 0x400 ? 1 : 97) {
        file = malloc(size ? size : 1);
        memcpy(file, whole, size);
        request.file = file;
        request.size = size;
        assert_non_null(bzimage_parse(&kernel, &request));
        format_complaint(file, size);
        free(file);
    }
    file = whole;
}

/* syssize counts 16 bytes, and is rounded up: up to 15 of them need not be there (memtest86+). */
static void the_last_paragraph_may_be_cut(void **state)
{
    (void)state;
    request.size = FILE_SIZE - 15;
    assert_null(bzimage_parse(&kernel, &request));
    assert_int_equal(kernel.code_size, CODE_SIZE - 15);
    request.size = FILE_SIZE - 16;
    refused("cut off");
}

/* Whatever the header says, what is accepted lies in the file and in the guest. */
static void random_headers_never_escape(void **state)
{
    (void)state;
    srand(1);
    for (unsigned run = 0; run < 200000; run++) {
        unsigned at = 0x1F1 + (unsigned)rand() % (0x268 - 0x1F1);
        u8 saved[8];

        memcpy(saved, file + at, 8);
        put(at, (u64)rand() << 33 ^ (u64)rand(), 1U << rand() % 4);
        if (!bzimage_parse(&kernel, &request)) {
            assert_true(kernel.code + kernel.code_size <= FILE_SIZE);
            assert_true(kernel.base >= MiB(1) && kernel.base + kernel.init_size <= request.low_ram);
            assert_true(kernel.code_size <= kernel.init_size);
            assert_true(kernel.initrd >= kernel.base + kernel.init_size);
            assert_true(kernel.initrd + request.initrd_size <= request.low_ram);
            assert_true(0x1F1 + kernel.header_size <= 0x290);
        }
        memcpy(file + at, saved, 8);
    }
}

static void a_small_guest_is_told_what_it_needs(void **state)
{
    (void)state;
    request.low_ram = MiB(32);
    refused("does not fit into the guest's memory");
    assert_int_equal(kernel.needs, PREFERRED + INIT_SIZE);
    request.low_ram = MiB(59);
    refused("the initrd does not fit");
    request.low_ram = kernel.needs;
    assert_null(bzimage_parse(&kernel, &request));
    assert_int_equal(kernel.initrd, PREFERRED + INIT_SIZE);
}

static void the_initrd_obeys_its_limit(void **state)
{
    (void)state;
    put(0x22C, MiB(128) - 1, 4);
    request.initrd_size = 5000;
    assert_null(bzimage_parse(&kernel, &request));
    assert_int_equal(kernel.initrd, MiB(128) - 0x2000);
}

static void a_large_initrd_goes_above_4g_if_allowed(void **state)
{
    (void)state;
    request.low_ram = GiB(3);
    request.high_ram = GiB(5);
    request.initrd_size = GiB(4);
    assert_null(bzimage_parse(&kernel, &request));
    assert_int_equal(kernel.initrd, GiB(5));
    put(0x236, 1, 2);
    refused("initrd does not fit");
    put(0x236, 3, 2);
    request.initrd_size = ~0ULL;
    refused("initrd does not fit");
}

static void no_initrd_needs_no_room(void **state)
{
    (void)state;
    request.initrd_size = 0;
    request.low_ram = PREFERRED + INIT_SIZE;
    assert_null(bzimage_parse(&kernel, &request));
}

static void other_files_are_named(void **state)
{
    static const struct {
        const char *bytes, *says;
    } files[] = {
        { "\x1F\x8B\x08 gzip", "gzip" }, { "\x28\xB5\x2F\xFD zstd", "zstd" },
        { "07070100000", "initramfs" },  { "#!/bin/sh\n", "script" },
        { "MZ and so on", "EFI" },       { "kernel image", "no format that we know" },
    };

    (void)state;
    assert_non_null(strstr(format_complaint(file, 0), "empty"));
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
        assert_non_null(strstr(format_complaint((const u8 *)files[i].bytes, strlen(files[i].bytes)), files[i].says));
    assert_null(format_complaint((const u8 *)"\177ELF", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_good_kernel_is_laid_out, setup, teardown),
        cmocka_unit_test_setup_teardown(no_setup_sectors_means_four, setup, teardown),
        cmocka_unit_test(each_field_is_checked),
        cmocka_unit_test_setup_teardown(a_cut_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_paragraph_may_be_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(random_headers_never_escape, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_guest_is_told_what_it_needs, setup, teardown),
        cmocka_unit_test_setup_teardown(the_initrd_obeys_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_initrd_goes_above_4g_if_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(no_initrd_needs_no_room, setup, teardown),
        cmocka_unit_test_setup_teardown(other_files_are_named, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: guest/load/kept.c host/frame.c tests/unit/one_vm.c tests/unit/ram.c tests/unit/stubs.c */
/* Files that came with guests: their memory is as much as they need, and is free again when nobody needs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guest/load/kept.h"
#include "host/bits.h"
#include "tests/unit/one_vm.h"
#include "tests/unit/ram.h"

static u64 all;
static const u8 id[CONFIG_UUID] = { 1 }, sha256[CONFIG_SHA256] = { 2 };

static int setup(void **unused)
{
    (void)unused;
    ram_init_full(MiB(64));
    all = ram_free();
    one_vm_make();
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    assert_int_equal(kept_count(), 0);
    assert_int_equal(ram_free(), all);
    ram_fini();
    return 0;
}

/* Of each size it is contiguous, and takes its pages and no more. */
static void test_sizes(void **unused)
{
    (void)unused;
    for (u64 size = 1; size < MiB(20); size += size < 70000 ? 997 : 1234567) {
        struct kept_file *file = kept_begin(size, 1, id);
        u64 pages = (size + PAGE_SIZE - 1) / PAGE_SIZE;

        assert_non_null(file);
        memset(file->bytes, 0xA5, size);
        assert_int_equal(all - ram_free(), pages);
        assert_int_equal(kept_bytes(), pages * PAGE_SIZE);
        kept_drop(file); /* it is not whole */
        assert_int_equal(ram_free(), all);
    }
    assert_null(kept_begin(MiB(65), 1, id));
    assert_null(kept_begin(~0ULL, 1, id));
}

static void test_as_long_as_it_is_needed(void **unused)
{
    struct kept_file *file = kept_begin(5000, 77, id);
    struct guest_file wanted = { .size = 5000, .digest = 77 };
    const void *bytes = file->bytes;

    (void)unused;
    assert_null(kept_find(&wanted, id)); /* it has not come yet */
    kept_found_whole(file, sha256);
    assert_ptr_equal(kept_find(&wanted, id), bytes);
    assert_ptr_equal(kept_at(bytes), file);
    assert_memory_equal(file->sha256, sha256, sizeof(sha256));
    wanted.digest++;
    assert_null(kept_find(&wanted, id));
    kept_poll();
    assert_int_equal(kept_count(), 1); /* it is held */
    assert_ptr_equal(kept_hold(bytes), file);
    kept_drop(file);
    vm.image.initrd.data = bytes;
    kept_drop(file);
    kept_poll();
    assert_int_equal(kept_count(), 1); /* a VM starts from it */
    vm.image.initrd.data = NULL;
    vm.image.kernel.data = bytes;
    kept_poll();
    assert_int_equal(kept_count(), 1);
    list_del(&vm.node);
    kept_poll();
    assert_int_equal(kept_count(), 0);
    assert_null(kept_hold(bytes));
}

/* Of one size and one digest may be files of other contents: none of them gets to another VM than its own. */
static void test_of_no_other_vm(void **unused)
{
    static const u8 other[CONFIG_UUID] = { 2 };
    struct kept_file *hers = kept_begin(5000, 77, other), *his = kept_begin(5000, 77, id);
    const struct guest_file wanted = { .size = 5000, .digest = 77 };

    (void)unused;
    assert_null(kept_of_sha256(sha256)); /* nothing of it has come */
    kept_found_whole(hers, sha256);
    assert_null(kept_find(&wanted, id));
    assert_ptr_equal(kept_of_sha256(sha256), hers); /* which tells of a file, and gives it to nobody */
    kept_found_whole(his, sha256);
    assert_ptr_equal(kept_find(&wanted, id), his->bytes);
    assert_ptr_equal(kept_find(&wanted, other), hers->bytes);
    kept_drop(hers);
    kept_drop(his);
    kept_poll();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_as_long_as_it_is_needed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_no_other_vm, setup, teardown),
    };

    return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}

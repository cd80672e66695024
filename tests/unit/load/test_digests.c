/* SPDX-License-Identifier: BSD-2-Clause */
/* Which files a guest may start from, by their SHA-256: those of the boot volume, and those that came with it. */
/* sources: guest/load/digests.c dev/sha256.c tests/unit/fake_frames.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/boot_info.h"
#include "dev/sha256.h"
#include "guest/load/digests.h"
#include "guest/load/kept.h"
#include "host/frame.h"
#include "hv/guest_image.h"

enum { HYPERVISOR, KERNEL, INITRD };

static const char *const contents[] = { "hypervisor", "a kernel", "an initrd" };
static const char came[] = "another kernel";
static struct kept_file kept = { .bytes = (u8 *)(uintptr_t)came, .size = sizeof(came), .digest = 7, .whole = true };
static struct boot_info boot_info;
static struct guest_image image;
static char reason[120];

struct kept_file *kept_at(const void *bytes)
{
    return bytes == kept.bytes ? &kept : NULL;
}

const struct kept_file *kept_of_sha256(const u8 sha256[CONFIG_SHA256])
{
    return memcmp(sha256, kept.sha256, sizeof(kept.sha256)) ? NULL : &kept;
}

/* A guest called web, whose two digests are those of its files; other guests have none. */
static int setup(void **unused)
{
    struct config_vm *vm = boot_info.config.vm;

    (void)unused;
    boot_info.nr_files = 3;
    for (unsigned i = 0; i < 3; i++)
        boot_info.file[i] = (struct boot_info_file){ .base = frame_address(contents[i]),
                                                     .size = strlen(contents[i]),
                                                     .digest = 100 + i };
    strcpy(boot_info.file[KERNEL].path, "k");
    strcpy(boot_info.file[INITRD].path, "i");
    boot_info.config.nr_vms = 2;
    vm[0] = (struct config_vm){ .name = "other" };
    vm[1] = (struct config_vm){ .name = "web", .kernel = "k", .initrd = "i" };
    sha256(contents[KERNEL], strlen(contents[KERNEL]), vm[1].sha256[0]);
    sha256(contents[INITRD], strlen(contents[INITRD]), vm[1].sha256[1]);
    sha256(came, sizeof(came), kept.sha256);
    image = (struct guest_image){ .kernel = { contents[KERNEL], strlen(contents[KERNEL]), 100 + KERNEL },
                                  .initrd = { contents[INITRD], strlen(contents[INITRD]), 100 + INITRD } };
    digests_init(&boot_info);
    return 0;
}

static bool fit(const char *guest)
{
    reason[0] = '\0';
    return digests_fit(guest, &image, reason, sizeof(reason));
}

static bool may_fit_behind(const char *guest)
{
    reason[0] = '\0';
    return digests_may_fit(guest, &image, true, reason, sizeof(reason));
}

static bool may_fit(const char *guest)
{
    reason[0] = '\0';
    return digests_may_fit(guest, &image, false, reason, sizeof(reason));
}

static void test_the_right_files(void **unused)
{
    (void)unused;
    assert_true(fit("web") && fit("other") && fit("unknown"));
    assert_null(digest_of(NULL));
    assert_null(digest_of(reason));
}

static void test_other_files(void **unused)
{
    (void)unused;
    image.kernel.data = kept.bytes;
    assert_true(fit("other"));
    assert_false(fit("web"));
    assert_string_equal(reason, "its kernel has the SHA-256 60cbf58461527708..., expected 4fff0d3e643b3894... "
                                "(kernel-sha256)");
    image.kernel.data = contents[KERNEL];
    image.initrd.data = contents[HYPERVISOR];
    assert_false(fit("web"));
    assert_non_null(strstr(reason, "its initrd has the SHA-256"));
    image.initrd = (struct guest_file){ .size = 0 };
    assert_false(fit("web"));
    assert_non_null(strstr(reason, "it has no initrd, expected one of the SHA-256"));
}

/* What the guest was made with counts beside what godwit.cfg says. */
static void test_the_images_own_wish(void **unused)
{
    (void)unused;
    memcpy(image.sha256[0], kept.sha256, sizeof(kept.sha256));
    assert_false(fit("unknown"));
    assert_false(fit("web"));
    image.kernel.data = kept.bytes;
    assert_true(fit("unknown"));
    assert_false(fit("web"));
}

/* Size and digest tell only where the right file is here, and is known. Else it is judged when it has come, and not
 * behind a guest that runs. */
static void test_before_it_comes(void **unused)
{
    (void)unused;
    assert_true(may_fit("web") && may_fit_behind("web"));
    image.kernel.digest++;
    assert_false(may_fit_behind("web"));
    assert_false(may_fit("web"));
    assert_non_null(strstr(reason, "its kernel is not the one of the SHA-256 4fff0d3e643b3894... there"));
    assert_true(may_fit("other"));
    boot_info.config.vm[1].sha256[0][0]++; /* such a file is not here */
    assert_true(may_fit("web"));
    assert_false(may_fit_behind("web"));
    assert_string_equal(reason, "its kernel can't be judged before it runs: none of the SHA-256 50ff0d3e643b3894... is "
                                "there (kernel-sha256)");
    assert_true(may_fit_behind("other"));
    image.initrd.size = 0;
    assert_false(may_fit("web"));
    assert_non_null(strstr(reason, "its initrd is not"));
}

/* The right file is kept here with another guest, and tells of what size and digest the one must be that comes. */
static void test_kept_with_another(void **unused)
{
    (void)unused;
    memcpy(boot_info.config.vm[1].sha256[0], kept.sha256, sizeof(kept.sha256));
    image.kernel = (struct guest_file){ .size = kept.size, .digest = kept.digest };
    assert_true(may_fit("web") && may_fit_behind("web"));
    image.kernel.digest++;
    assert_false(may_fit("web"));
    assert_non_null(strstr(reason, "its kernel is not the one of the SHA-256"));
    assert_false(may_fit_behind("web"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_before_it_comes, setup), /* and before anything else has computed a SHA-256 */
        cmocka_unit_test_setup(test_the_right_files, setup),     cmocka_unit_test_setup(test_other_files, setup),
        cmocka_unit_test_setup(test_the_images_own_wish, setup), cmocka_unit_test_setup(test_kept_with_another, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

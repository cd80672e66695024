/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "digests"
#include "guest/load/digests.h"

#include <stdio.h>
#include <string.h>

#include "config/boot_info.h"
#include "dev/sha256.h"
#include "guest/load/kept.h"
#include "host/bits.h"
#include "host/frame.h"
#include "host/log.h"
#include "hv/guest_image.h"

_Static_assert(SHA256_BYTES == CONFIG_SHA256, "copied as they are");

#define SHOWN 8 /* bytes of a SHA-256 in a reason; the log has all of it */

struct text {
    char text[2 * SHA256_BYTES + 1];
};

static const char *const file_name[] = { "kernel", "initrd" };
static const struct boot_info *given;
static struct {
    bool known;
    u8 sha256[SHA256_BYTES];
} volume[CONFIG_MAX_FILES]; /* of the boot volume's files, in the order of boot_info */

static struct text hex(const u8 *bytes, unsigned count)
{
    struct text hex = { .text = "" };

    for (unsigned i = 0; i < count; i++)
        snprintf(hex.text + 2 * (size_t)i, 3, "%02x", bytes[i]);
    return hex;
}

static const u8 *of_volume(u32 i)
{
    const struct boot_info_file *file = &given->file[i];

    if (!volume[i].known)
        sha256(frame_window(file->base), file->size, volume[i].sha256);
    volume[i].known = true;
    return volume[i].sha256;
}

static bool is_named(const u8 sha256[SHA256_BYTES])
{
    static const u8 none[SHA256_BYTES];

    return memcmp(sha256, none, sizeof(none)) != 0;
}

/* At the boot nobody waits yet for the host loop. */
static void learn(const char *path)
{
    for (u32 i = 0; i < given->nr_files; i++)
        if (strcmp(given->file[i].path, path) == 0)
            of_volume(i);
}

void digests_init(const struct boot_info *boot_info)
{
    given = boot_info;
    for (u32 i = 0; i < given->config.nr_vms; i++) {
        const struct config_vm *vm = &given->config.vm[i];

        if (is_named(vm->sha256[0]))
            learn(vm->kernel);
        if (is_named(vm->sha256[1]))
            learn(vm->initrd);
    }
}

const u8 *digest_of(const void *data)
{
    const struct kept_file *kept = kept_at(data);

    if (kept)
        return kept->sha256;
    for (u32 i = 0; i < given->nr_files; i++)
        if (frame_window(given->file[i].base) == data)
            return of_volume(i);
    return NULL;
}

/* What the section of that name says; NULL: nothing. */
static const u8 *named(const char *guest, unsigned index)
{
    const struct config *config = &given->config;

    for (u32 i = 0; i < config->nr_vms; i++)
        if (strcmp(config->vm[i].name, guest) == 0)
            return is_named(config->vm[i].sha256[index]) ? config->vm[i].sha256[index] : NULL;
    return NULL;
}

static bool fits(const char *guest, unsigned index, const u8 *found, const u8 *expected, char *reason, size_t room)
{
    const char *file = file_name[index];

    if (!expected || (found && memcmp(found, expected, SHA256_BYTES) == 0))
        return true;
    pr_err("%s: the SHA-256 of its %s is %s, expected %s", guest, file, found ? hex(found, SHA256_BYTES).text : "none",
           hex(expected, SHA256_BYTES).text);
    if (found)
        snprintf(reason, room, "its %s has the SHA-256 %s..., expected %s... (%s-sha256)", file, hex(found, SHOWN).text,
                 hex(expected, SHOWN).text, file);
    else
        snprintf(reason, room, "it has no %s, expected one of the SHA-256 %s... (%s-sha256)", file,
                 hex(expected, SHOWN).text, file);
    return false;
}

bool digest_fits(const char *guest, unsigned index, const u8 *sha256, char *reason, size_t room)
{
    return fits(guest, index, sha256, named(guest, index), reason, room);
}

bool digests_fit(const char *guest, const struct guest_image *image, char *reason, size_t room)
{
    const struct guest_file *file[] = { &image->kernel, &image->initrd };

    for (unsigned i = 0; i < ARRAY_SIZE(file); i++) {
        const u8 *own = is_named(image->sha256[i]) ? image->sha256[i] : NULL, *ours = named(guest, i);
        const u8 *found = own || ours ? digest_of(file[i]->data) : NULL;

        if (!fits(guest, i, found, own, reason, room) || !fits(guest, i, found, ours, reason, room))
            return false;
    }
    return true;
}

/* The file of this SHA-256, by its size and digest: of the boot volume, as far as its SHA-256 are known, or one that is
 * kept with any guest. False: there is none. */
static bool known(const u8 sha256[SHA256_BYTES], struct guest_file *file)
{
    const struct kept_file *kept = kept_of_sha256(sha256);

    for (u32 i = 0; i < given->nr_files; i++) {
        if (volume[i].known && memcmp(volume[i].sha256, sha256, SHA256_BYTES) == 0) {
            *file = (struct guest_file){ .size = given->file[i].size, .digest = given->file[i].digest };
            return true;
        }
    }
    if (kept)
        *file = (struct guest_file){ .size = kept->size, .digest = kept->digest };
    return kept;
}

bool digests_may_fit(const char *guest, const struct guest_image *image, bool follow, char *reason, size_t room)
{
    const struct guest_file *file[] = { &image->kernel, &image->initrd };

    for (unsigned i = 0; i < ARRAY_SIZE(file); i++) {
        const u8 *expected = named(guest, i);
        struct guest_file wanted;
        bool right = expected && known(expected, &wanted);

        if (right ? wanted.size == file[i]->size && wanted.digest == file[i]->digest : !expected || !follow)
            continue;
        snprintf(reason, room,
                 right ? "its %s is not the one of the SHA-256 %s... there (%s-sha256)"
                       : "its %s can't be judged before it runs: none of the SHA-256 %s... is there (%s-sha256)",
                 file_name[i], hex(expected, SHOWN).text, file_name[i]);
        return false;
    }
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/load/digests.h"
#include "hv/guest_image.h"

static struct list kept = { &kept, &kept };
static bool full;
static const u8 *expected[2];

struct kept_file *kept_begin(u64 size, u64 digest, const u8 vm_id[CONFIG_UUID])
{
    struct kept_file *file = full ? NULL : calloc(1, sizeof(*file));

    if (!file)
        return NULL;
    *file = (struct kept_file){ .bytes = malloc(size), .size = size, .digest = digest, .holds = 1 };
    memcpy(file->vm_id, vm_id, sizeof(file->vm_id));
    list_add_tail(&kept, &file->node);
    return file;
}

void kept_found_whole(struct kept_file *file, const u8 sha256[CONFIG_SHA256])
{
    file->whole = true;
    memcpy(file->sha256, sha256, sizeof(file->sha256));
}

struct kept_file *kept_hold(const void *bytes)
{
    list_each (struct kept_file, file, &kept) {
        if (file->bytes != bytes)
            continue;
        file->holds++;
        return file;
    }
    return NULL;
}

static void file_free(struct kept_file *file)
{
    list_del(&file->node);
    free(file->bytes);
    free(file);
}

void kept_drop(struct kept_file *file)
{
    if (!file)
        return;
    if (!file->holds)
        abort();
    if (--file->holds == 0 && !file->whole)
        file_free(file);
}

const void *kept_find(const struct guest_file *wanted, const u8 vm_id[CONFIG_UUID])
{
    list_each (struct kept_file, file, &kept)
        if (file->whole && file->size == wanted->size && file->digest == wanted->digest &&
            !memcmp(file->vm_id, vm_id, CONFIG_UUID))
            return file->bytes;
    return NULL;
}

void fake_kept_init(bool full_now)
{
    list_each_safe (struct kept_file, file, &kept)
        file_free(file);
    full = full_now;
    expected[0] = expected[1] = NULL;
}

void fake_kept_expect(unsigned index, const u8 sha256[CONFIG_SHA256])
{
    expected[index] = sha256;
}

/* Of a file of the destination's own nobody knows it here. */
const u8 *digest_of(const void *data)
{
    list_each (const struct kept_file, file, &kept)
        if (file->bytes == data)
            return file->sha256;
    return NULL;
}

bool digest_fits(const char *guest, unsigned index, const u8 *sha256, char *reason, size_t room)
{
    if (!guest[0])
        abort();
    snprintf(reason, room, "file %u has another SHA-256", index);
    return !expected[index] || (sha256 && !memcmp(sha256, expected[index], CONFIG_SHA256));
}

static unsigned count(bool whole)
{
    unsigned files = 0;

    list_each (struct kept_file, file, &kept)
        files += file->whole == whole;
    return files;
}

unsigned fake_kept_whole(void)
{
    return count(true);
}

unsigned fake_kept_part(void)
{
    return count(false);
}

unsigned fake_kept_holds(void)
{
    unsigned holds = 0;

    list_each (struct kept_file, file, &kept)
        holds += file->holds;
    return holds;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_kept.h"

#include <stdlib.h>
#include <string.h>

#include "hv/guest_image.h"

static struct list kept = { &kept, &kept };
static bool full;

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

void kept_found_whole(struct kept_file *file)
{
    file->whole = true;
}

static struct kept_file *file_at(struct list *node)
{
    return container_of(node, struct kept_file, node);
}

struct kept_file *kept_hold(const void *bytes)
{
    list_for_each (node, &kept) {
        if (file_at(node)->bytes != bytes)
            continue;
        file_at(node)->holds++;
        return file_at(node);
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
    list_for_each (node, &kept)
        if (file_at(node)->whole && file_at(node)->size == wanted->size && file_at(node)->digest == wanted->digest &&
            !memcmp(file_at(node)->vm_id, vm_id, CONFIG_UUID))
            return file_at(node)->bytes;
    return NULL;
}

void fake_kept_init(bool full_now)
{
    list_for_each_safe (node, &kept)
        file_free(file_at(node));
    full = full_now;
}

static unsigned count(bool whole)
{
    unsigned files = 0;

    list_for_each (node, &kept)
        files += file_at(node)->whole == whole;
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

    list_for_each (node, &kept)
        holds += file_at(node)->holds;
    return holds;
}

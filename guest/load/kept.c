/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "images"
#include "guest/load/kept.h"

#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "host/frame.h"
#include "host/log.h"
#include "host/panic.h"
#include "hv/guest_image.h"
#include "hv/vm.h"

static struct list files = { &files, &files };

static u64 frames_of(u64 size)
{
    return (size >> PAGE_SHIFT) + (size % PAGE_SIZE != 0);
}

/* Free the frames from number `from`, not 0, of a block of 2^order frames on, in the largest aligned pieces. */
static void free_from(hpa_t base, u64 from, unsigned order)
{
    for (u64 end = 1ULL << order; from < end;) {
        unsigned piece = (unsigned)__builtin_ctzll(from);

        frame_free(base + (from << PAGE_SHIFT), piece);
        from += 1ULL << piece;
    }
}

/* Free the first `frames` frames at base, which were allocated as a larger block. */
static void free_frames(hpa_t base, u64 frames)
{
    for (u64 at = 0; at < frames;) {
        unsigned piece = 63 - (unsigned)__builtin_clzll(frames - at);

        if (at)
            piece = MIN(piece, (unsigned)__builtin_ctzll(at));
        frame_free(base + (at << PAGE_SHIFT), piece);
        at += 1ULL << piece;
    }
}

/* Contiguous memory for a file: a block whose rest is given back. NULL: there is none. */
static u8 *bytes_alloc(u64 size)
{
    u64 frames = frames_of(size);
    unsigned order = frames > 1 ? 64 - (unsigned)__builtin_clzll(frames - 1) : 0;
    hpa_t base = order <= FRAME_MAX_ORDER ? frame_alloc(order) : FRAME_NONE;

    if (base == FRAME_NONE)
        return NULL;
    free_from(base, frames, order);
    return frame_window(base);
}

struct kept_file *kept_begin(u64 size, u64 digest, const u8 vm_id[CONFIG_UUID])
{
    struct kept_file *file = calloc(1, sizeof(*file));

    if (file)
        file->bytes = bytes_alloc(size);
    if (!file || !file->bytes) {
        free(file);
        return NULL;
    }
    file->size = size;
    file->digest = digest;
    memcpy(file->vm_id, vm_id, sizeof(file->vm_id));
    file->holds = 1;
    list_add_tail(&files, &file->node);
    return file;
}

static void file_free(struct kept_file *file)
{
    free_frames(frame_address(file->bytes), frames_of(file->size));
    list_del(&file->node);
    free(file);
}

void kept_found_whole(struct kept_file *file, const u8 sha256[CONFIG_SHA256])
{
    file->whole = true;
    memcpy(file->sha256, sha256, sizeof(file->sha256));
    pr_info("a file of %lu KiB is kept for the guests that start from it", (file->size + 1023) >> 10);
}

struct kept_file *kept_at(const void *bytes)
{
    list_each (struct kept_file, file, &files) {
        if (file->bytes == bytes)
            return file;
    }
    return NULL;
}

struct kept_file *kept_hold(const void *bytes)
{
    struct kept_file *file = kept_at(bytes);

    if (file)
        file->holds++;
    return file;
}

void kept_drop(struct kept_file *file)
{
    if (!file)
        return;
    assert(file->holds);
    if (--file->holds == 0 && !file->whole)
        file_free(file);
}

const void *kept_find(const struct guest_file *file, const u8 vm_id[CONFIG_UUID])
{
    list_each (const struct kept_file, kept, &files) {
        if (kept->whole && kept->size == file->size && kept->digest == file->digest &&
            !memcmp(kept->vm_id, vm_id, sizeof(kept->vm_id)))
            return kept->bytes;
    }
    return NULL;
}

const struct kept_file *kept_of_sha256(const u8 sha256[CONFIG_SHA256])
{
    list_each (const struct kept_file, kept, &files) {
        if (kept->whole && !memcmp(kept->sha256, sha256, CONFIG_SHA256))
            return kept;
    }
    return NULL;
}

unsigned kept_count(void)
{
    unsigned count = 0;

    list_each (const struct kept_file, file, &files)
        count++;
    return count;
}

u64 kept_bytes(void)
{
    u64 bytes = 0;

    list_each (const struct kept_file, file, &files)
        bytes += frames_of(file->size) << PAGE_SHIFT;
    return bytes;
}

/* Does a VM start from it? */
static bool is_named(const struct kept_file *file)
{
    list_each (const struct vm, vm, vm_list()) {
        const struct guest_image *image = &vm->image;

        if (image->kernel.data == file->bytes || image->initrd.data == file->bytes)
            return true;
    }
    return false;
}

u64 kept_poll(void)
{
    list_each_safe (struct kept_file, file, &files) {
        if (file->holds || is_named(file))
            continue;
        pr_info("a file of %lu KiB is not needed any more", (file->size + 1023) >> 10);
        file_free(file);
    }
    return ~0ULL;
}

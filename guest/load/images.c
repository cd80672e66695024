/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/load/images.h"

#include <stdio.h>
#include <string.h>

#include "config/boot_info.h"
#include "guest/load/digests.h"
#include "guest/load/kept.h"
#include "guest/load/load.h"
#include "host/frame.h"

static const struct boot_info *given;

void images_init(const struct boot_info *boot_info)
{
    given = boot_info;
    digests_init(boot_info);
}

/* The files from which a guest can start; the first of all files is the hypervisor itself. */
static void list_files(char *text, size_t room)
{
    size_t at = 0;

    for (u32 i = 1; i < given->nr_files && at < room; i++)
        at += (size_t)snprintf(text + at, room - at, "%s%s", i > 1 ? ", " : "", given->file[i].path);
}

bool image_file(const char *path, struct guest_file *file, char *reason, size_t room)
{
    char files[100] = "none";

    for (u32 i = 0; i < given->nr_files; i++) {
        const struct boot_info_file *found = &given->file[i];

        if (strcmp(found->path, path) != 0)
            continue;
        *file = (struct guest_file){ frame_window(found->base), found->size, found->digest };
        return true;
    }
    list_files(files, sizeof(files));
    snprintf(reason, room, "the loader has not handed over %s, there are: %s", path, files);
    return false;
}

bool image_of(const struct config_vm *config, struct guest_image *image, char *reason, size_t room)
{
    *image = (struct guest_image){ .cmdline = "" };
    memcpy(image->cmdline, config->cmdline, sizeof(image->cmdline));
    memcpy(image->sha256, config->sha256, sizeof(image->sha256));
    return image_file(config->kernel, &image->kernel, reason, room) &&
           (!config->initrd[0] || image_file(config->initrd, &image->initrd, reason, room));
}

static const void *by_content(const struct guest_file *file, const u8 *vm_id)
{
    for (u32 i = 0; i < given->nr_files && file->size; i++) {
        const struct boot_info_file *found = &given->file[i];

        if (found->size == file->size && found->digest == file->digest)
            return frame_window(found->base);
    }
    return file->size ? kept_find(file, vm_id) : NULL;
}

void image_locate(struct guest_image *image, const u8 *vm_id)
{
    image->kernel.data = by_content(&image->kernel, vm_id);
    image->initrd.data = by_content(&image->initrd, vm_id);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "images"
#include "hv/images.h"

#include <string.h>

#include "boot/handoff.h"
#include "guest/load/load.h"
#include "hv/lib/log.h"
#include "mm/layout.h"

static const struct handoff *given;

void images_init(const struct handoff *handoff)
{
    given = handoff;
}

static bool by_path(const char *vm, const char *path, struct guest_file *file)
{
    for (u32 i = 0; i < given->nr_files; i++) {
        const struct handoff_file *found = &given->file[i];

        if (strcmp(found->path, path) != 0)
            continue;
        *file = (struct guest_file){ phys_to_virt(found->base), found->size, found->digest };
        return true;
    }
    pr_err("%s: the loader has not handed over %s", vm, path);
    return false;
}

bool image_of(const struct config_vm *config, struct guest_image *image)
{
    *image = (struct guest_image){ .cmdline = "" };
    memcpy(image->cmdline, config->cmdline, sizeof(image->cmdline));
    return by_path(config->name, config->kernel, &image->kernel) &&
           (!config->initrd[0] || by_path(config->name, config->initrd, &image->initrd));
}

static const void *by_content(const struct guest_file *file)
{
    for (u32 i = 0; i < given->nr_files && file->size; i++) {
        const struct handoff_file *found = &given->file[i];

        if (found->size == file->size && found->digest == file->digest)
            return phys_to_virt(found->base);
    }
    return NULL;
}

void image_locate(struct guest_image *image)
{
    image->kernel.data = by_content(&image->kernel);
    image->initrd.data = by_content(&image->initrd);
}

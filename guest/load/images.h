/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of the boot volume, and those that came with guests (kept.h). From them this machine's own guests start,
 * and guests that have arrived by migration start anew. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "host/types.h"

struct config_vm;
struct guest_file;
struct guest_image;
struct boot_info;

/* Once, before the others. `boot_info` stays valid. Boot processor. */
void images_init(const struct boot_info *boot_info);

/* The kernel, initrd and command line that the configuration gives a guest. False, with the reason in words: a file is
 * not here. */
bool image_of(const struct config_vm *config, struct guest_image *image, char *reason, size_t room);

/* The file of that path. False, with the reason in words: the loader has not handed it over. */
bool image_file(const char *path, struct guest_file *file, char *reason, size_t room);

/* Find the contents of image's files, which are known by size and digest, among the files of the boot volume, and those
 * that came with the VM of that id. A file that is not here gets NULL. */
void image_locate(struct guest_image *image, const u8 *vm_id);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of the boot volume, from which guests start, and start anew: its own ones, and such as have come here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct config_vm;
struct guest_file;
struct guest_image;
struct boot_info;

/* Once, before the others. `boot_info` stays valid. Boot processor. */
void images_init(const struct boot_info *boot_info);

/* What the configuration has its guest start from. False, with the reason in words: a file is not here. */
bool image_of(const struct config_vm *config, struct guest_image *image, char *reason, size_t room);

/* The file of that path. False, with the reason in words: the loader has not handed it over. */
bool image_file(const char *path, struct guest_file *file, char *reason, size_t room);

/* Find the contents of image's files, known by size and digest, among this machine's; NULL where there is none. */
void image_locate(struct guest_image *image);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of the boot volume, from which guests start, and start anew: its own ones, and such as have come here. */
#pragma once

#include <stdbool.h>

struct config_vm;
struct guest_image;
struct handoff;

/* Once, before the others. `handoff` stays valid. Boot processor. */
void images_init(const struct handoff *handoff);

/* What the configuration has its guest start from. False, with the reason logged: the loader has not handed it over. */
bool image_of(const struct config_vm *config, struct guest_image *image);

/* Find the contents of image's files, known by size and digest, among this machine's; NULL where there is none. */
void image_locate(struct guest_image *image);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader puts a guest's image into its RAM, and its first vcpu at the image's entry. Images come from outside:
 * everything in them is checked. */
#pragma once

#include "hv/guest_image.h"

struct vm;

/*
 * Put the image into the cleared RAM of vm, and set its first vcpu to the image's entry. This machine has the image's
 * files, and no vcpu of vm runs: vm starts, or is being reset. Returns 0, or -EINVAL if the image is refused: then
 * `reason` (of `size` bytes) says what is wrong and what would be right. Host loop.
 */
int guest_load(struct vm *vm, const struct guest_image *image, char *reason, size_t size);

/* Returns what guest_load would return, but loads nothing; vm needs no RAM yet. */
int guest_load_check(struct vm *vm, const struct guest_image *image, char *reason, size_t size);

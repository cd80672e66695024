/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader puts a guest's image into its RAM, and its first vcpu at the image's entry. Images come from outside:
 * everything in them is checked. */
#pragma once

#include "hv/guest_image.h"

/* For vm_set_loader. */
extern const struct guest_loader guest_loader;

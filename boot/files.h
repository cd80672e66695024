/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of the boot volume: the one that this application was started from. */
#pragma once

#include <efi.h>

#include "config/boot_info.h"

/* Open the root directory of the volume that image was loaded from. */
EFI_STATUS volume_open(EFI_HANDLE image, EFI_FILE_HANDLE *root);

/*
 * Read the whole file at path ('/' separates) into fresh pages of the kind given, and describe it in *file. An empty
 * file is refused. Every message begins with `where`: the place that names the file, such as "godwit.cfg:3: [vm a]
 * kernel".
 */
EFI_STATUS file_read(EFI_FILE_HANDLE root, const char *path, uint32_t kind, const CHAR16 *where,
                     struct boot_info_file *file);

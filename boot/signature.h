/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signatures of the files that the loader and the hypervisor read for themselves. A loader that was built with a public
 * key (make SIGN_KEY=) takes only files that the owner of its private key has signed: the ECDSA signature of FILE, by
 * P-256 over the SHA-256 of its bytes, is the file FILE.sig.
 */
#pragma once

#include <efi.h>

#include "config/boot_info.h"

#define SIGNATURE_KEY 65 /* bytes of a public key: a point as SEC 1 "Elliptic-Curve-Point-to-Octet-String" has it */

/* The key that the loader was built with; size 0: none. tools/loader-key makes both. */
extern const unsigned char signature_key[SIGNATURE_KEY];
extern const unsigned signature_key_size;

/*
 * Check a file that file_read has read, by the very bytes that will be used. `where` begins every message, as in
 * file_read. Without a key every file is right.
 */
EFI_STATUS signature_check(EFI_FILE_HANDLE root, const struct boot_info_file *file, const CHAR16 *where);

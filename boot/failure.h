/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages on the firmware's console: the screen and, where the firmware redirects it, the serial port. */
#pragma once

#include <efi.h>

/*
 * Say why the start fails, with the name of the status behind it, and return that status: the caller passes it on
 * and the application ends with it. The format is gnu-efi's: %a ASCII, %s CHAR16, %d, %ld and %lx numbers.
 */
EFI_STATUS failure_print(EFI_STATUS status, const CHAR16 *format, ...);

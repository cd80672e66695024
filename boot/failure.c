/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages on the firmware's console. */
#include "boot/failure.h"

#include <efilib.h>

EFI_STATUS failure_print(EFI_STATUS status, const CHAR16 *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    VPrint(format, arguments);
    va_end(arguments);
    Print(L" [%r]\n", status);
    return status;
}

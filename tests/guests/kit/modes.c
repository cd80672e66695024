/* SPDX-License-Identifier: BSD-2-Clause */
/* Puts the real-mode code where real mode can reach it. */
#include "tests/guests/kit/modes.h"

#include "tests/guests/kit/string.h"

void modes_init(void)
{
    memcpy(low_start, low_load, (size_t)(low_end - low_start));
}

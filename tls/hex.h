/* SPDX-License-Identifier: BSD-2-Clause */
/* Secrets in text. Pure. */
#pragma once

#include "host/types.h"

/* Read text[0..len), which must be two hexadecimal digits in lower case for each of `count` bytes. False: it is not. */
bool hex_read(const char *text, size_t len, u8 *bytes, size_t count);

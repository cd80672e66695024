/* SPDX-License-Identifier: BSD-2-Clause */
/* What must hold between the keys and sections of godwit.cfg, and what a VM may be called. Pure, no libc. */
#pragma once

#include "config/config.h"

/* Is a parsed configuration right as a whole? Returns true, or false with *error filled. Callable anywhere. */
bool config_check(const struct config *config, struct config_error *error);

/* Are both given (all zero means: not given), and equal? */
bool config_bytes_equal(const void *one, const void *other, size_t len);

/* Fill *error, whose message is the concatenation of the strings that follow `key`, up to a NULL; what does not print
 * becomes '?'. Returns false. Callable anywhere. */
bool config_error_set(struct config_error *error, unsigned line, const char *key, ...);
#define config_refuse(error, line, ...) config_error_set(error, line, __VA_ARGS__, NULL)

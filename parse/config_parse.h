/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of godwit.cfg. It is portable C without libc: it runs in the UEFI application, in the hypervisor (for the
 * commands that take what the file would say), in mkimage's checker on the administrator's machine and in unit tests.
 */
#pragma once

#include "config/config.h"

/* Where and why a configuration was refused. */
struct config_error {
    unsigned line;     /* 1-based; 0 if it is about the whole file */
    char key[32];      /* the key or section concerned, "" if none */
    char message[320]; /* what is wrong and what would be right */
};

/*
 * Parse text[0..len) into *config, defaults included.
 * Returns true, or false with *error filled: nothing in *config may then be used.
 * Callable anywhere; no allocation, no libc.
 */
bool config_parse(const char *text, size_t len, struct config *config, struct config_error *error);

/*
 * Set a key of [migration] as a line of the file would, if that key may be changed while the hypervisor runs.
 * Returns true, or false with *error filled: then *migration is as it was. Callable anywhere.
 */
bool config_migration_set(struct config_migration *migration, const char *key, const char *value,
                          struct config_error *error);

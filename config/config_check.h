/* SPDX-License-Identifier: BSD-2-Clause */
/* What must hold between the keys and sections of godwit.cfg, and what a VM may be called. Pure, no libc. */
#pragma once

#include "config/config.h"

/* Why a configuration is refused, though each of its keys is right. */
struct config_fault {
    unsigned line;       /* of the section concerned; 0: it is about more than one */
    const char *key;     /* the key or section concerned */
    const char *part[6]; /* of the message, one behind the other; NULL: no more */
};

/* Is a parsed configuration right as a whole? Returns true, or false with *fault filled: its strings are constants or
 * lie in *config. Callable anywhere. */
bool config_check(const struct config *config, struct config_fault *fault);

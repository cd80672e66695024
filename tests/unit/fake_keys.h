/* SPDX-License-Identifier: BSD-2-Clause */
/* A keyring, and a choice of ciphers, without cryptography: a test says whether there is one. Its tags depend on each
 * bit of what they are of. */
#pragma once

#include "host/types.h"

extern bool fake_keys;

/* The file "right" was read last, and no other one. */
extern bool fake_keys_new;

/* SPDX-License-Identifier: BSD-2-Clause */
/* Tokens that a test knows (tls/tokens.h): prometheus has "read-SECRET", bob "operate-SECRET" and alice "SECRET". */
#pragma once

#include "tls/tokens.h"

extern const char *fake_secret;

/* The file "right" was read last, after which alice is the only one. */
extern bool fake_tokens_new;

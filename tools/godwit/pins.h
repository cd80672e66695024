/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public keys of hypervisors that the person has accepted, as ssh does: one line HOST:PORT sha256//HASH for each,
 * in $GODWIT_KNOWN_HOSTS, or in godwit/known_hosts below $XDG_CONFIG_HOME, which is ~/.config unless set.
 */
#pragma once

#include <stdbool.h>

#define PIN 64 /* "sha256//" and 44 characters, as libcurl's CURLOPT_PINNEDPUBLICKEY wants it */

/* The name of that file. The pointer stays valid. */
const char *pins_file(void);

/* Is the key of this host known, "HOST:PORT"? Then pin has it. */
bool pins_find(const char *host, char pin[PIN]);

/* Remember it. False: the reason is on stderr. */
bool pins_add(const char *host, const char pin[PIN]);

/* The pin of a certificate in PEM. False: it is none. */
bool pin_of_certificate(const char *pem, char pin[PIN]);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this hypervisor shows to clients of its API: a certificate, those between it and the CA, and the private key, in
 * PEM from one file of the boot volume (docs/keys.md). They are sent as they are, and judged by clients. Host loop.
 */
#pragma once

#include "host/types.h"

struct certificate;
struct mbedtls_ssl_config;

/* Read the file, in place of the one before. Returns NULL; or what is wrong with it, and then all is as before. */
const char *certificate_read(const char *text, size_t len);

/* For handshake.c: a server with this configuration shows the certificate, which is there until *shown is released
 * (NULL is allowed). There is one. Returns 0, or mbedTLS's error: no memory; released it must be all the same. */
int certificate_show(struct mbedtls_ssl_config *config, struct certificate **shown);
void certificate_release(struct certificate *shown);

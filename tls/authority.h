/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CA by which this hypervisor knows the members of its witness (docs/witness.md): it makes their certificates. Of
 * the chain that a server shows mbedTLS verifies signatures and uses; dates and the address are judged here. Host loop.
 */
#pragma once

#include "host/types.h"

struct mbedtls_ssl_config;

/* The address that a server's certificate must be for. */
struct authority_demand {
    u8 address[16];
    size_t len; /* 4 or 16 */
};

/* Read the CA's certificate in PEM, or those of several. Returns NULL, or what is wrong with the file. Boot, once. */
const char *authority_read(const char *text, size_t len);

/* For handshake.c: a client with this configuration wants a certificate that the CA has made, that is valid now by this
 * machine's clock, for a server at `host`, an address in words. `demand` lives as long as the configuration. Returns
 * false if `host` is no address. The CA has been read. */
bool authority_demands(struct mbedtls_ssl_config *config, const char *host, struct authority_demand *demand);

/* What is wrong with a certificate of which mbedTLS says this, MBEDTLS_X509_BADCERT_*, or 0: it can't be read. -EINVAL:
 * it is none for servers that the CA has made; -ESTALE: it has expired, or is not valid yet; -EPERM: it is not for this
 * address. */
int authority_fault(u32 flags);

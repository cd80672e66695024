/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What mbedTLS has: the handshakes of two suites with ChaCha20-Poly1305 in TLS 1.2, ECDHE-PSK between hypervisors and
 * ECDHE-ECDSA for clients of the API and to the witness, and random numbers.
 * mbedTLS includes this file by its name. No files, no clock, no renegotiation, no tickets, no compression. Its calloc,
 * free and snprintf are newlib's.
 */
#pragma once

#define MBEDTLS_HAVE_ASM         /* multiplication of 64 x 64 bits: general registers only */
#define MBEDTLS_NO_UDBL_DIVISION /* division of 128 bits would need gcc's library */

/* Random numbers: random.c has the sources. */
#define MBEDTLS_ENTROPY_C
#define MBEDTLS_ENTROPY_FORCE_SHA256
#define MBEDTLS_NO_PLATFORM_ENTROPY
#define MBEDTLS_HMAC_DRBG_C

/* The suites. */
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_DP_CURVE25519_ENABLED
#define MBEDTLS_ECDH_C
#define MBEDTLS_ECDH_VARIANT_EVEREST_ENABLED /* Curve25519 by Project Everest's code, in place of bignums */
#define MBEDTLS_SHA256_C
#define MBEDTLS_MD_C
#define MBEDTLS_CIPHER_C
#define MBEDTLS_CHACHA20_C
#define MBEDTLS_POLY1305_C
#define MBEDTLS_POLY1305_ALT /* by libsodium's code: poly1305_alt.c */
#define MBEDTLS_CHACHAPOLY_C

/* Our certificate and its key, and those that servers show us. Each certificate between a server's and the CA's costs a
 * verification, so there may be two. */
#define MBEDTLS_ECP_NIST_OPTIM    /* reduction of its own for it, in place of a division */
#define MBEDTLS_ECP_WINDOW_SIZE 5 /* log2 of the base point's multiples that are kept (certificate.c), and 1 */
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECDSA_C
#define MBEDTLS_ECDSA_DETERMINISTIC
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_OID_C
#define MBEDTLS_BASE64_C
#define MBEDTLS_PEM_PARSE_C
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_CHECK_KEY_USAGE
#define MBEDTLS_X509_CHECK_EXTENDED_KEY_USAGE
#define MBEDTLS_X509_MAX_INTERMEDIATE_CA 2

/* The handshake. Our own records (seal.h) come after it, so its buffers hold flights of handshakes only. */
#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_SRV_C
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_KEY_EXCHANGE_ECDHE_PSK_ENABLED
#define MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA_ENABLED
#define MBEDTLS_SSL_ALL_ALERT_MESSAGES /* so that a peer with another key hears so */
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_SSL_EXPORT_KEYS
#define MBEDTLS_SSL_IN_CONTENT_LEN 4096
#define MBEDTLS_SSL_OUT_CONTENT_LEN 4096

#include <mbedtls/check_config.h>

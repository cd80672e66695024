/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mbedTLS's parser of certificates would refuse those that an RSA key has signed, for it has no RSA here. Nothing in
 * them matters to us but whether they are whole and of our key. So they are only taken out of their base64.
 */
#include "tls/certificate.h"

#include <stdlib.h>
#include <string.h>

#include <mbedtls/asn1.h>
#include <mbedtls/pem.h>
#include <mbedtls/ssl.h>

#include "tls/wipe.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
/* A message of certificates has 3 bytes before each of them and 7 before all. It must fit the handshake's buffer. */
#define ROOM (MBEDTLS_SSL_OUT_CONTENT_LEN - 7)
#define POINT 65 /* bytes of a public key over P-256, not compressed */

struct certificate {
    mbedtls_pk_context key;
    mbedtls_x509_crt *chain; /* only `raw`, `next` and, of the first one, `pk` are used */
    unsigned users;          /* servers that show it, and one more as long as it is ours */
};

static struct certificate *ours;

void certificate_release(struct certificate *shown)
{
    if (!shown || --shown->users > 0)
        return;
    while (shown->chain) {
        mbedtls_x509_crt *next = shown->chain->next;

        free(shown->chain->raw.p);
        free(shown->chain);
        shown->chain = next;
    }
    mbedtls_pk_free(&shown->key);
    free(shown);
}

/* Append a certificate, whose bytes are pem->buf. False: no memory. */
static bool chain_append(mbedtls_x509_crt **link, mbedtls_pem_context *pem)
{
    mbedtls_x509_crt *certificate = calloc(1, sizeof(*certificate));

    if (!certificate)
        return false;
    certificate->raw.p = pem->buf;
    certificate->raw.len = pem->buflen;
    pem->buf = NULL;
    while (*link)
        link = &(*link)->next;
    *link = certificate;
    return true;
}

/* Is it one sequence, as a certificate is, from its first byte to its last? */
static bool is_whole(const mbedtls_pem_context *pem)
{
    const u8 *end = pem->buf + pem->buflen;
    u8 *at = pem->buf;
    size_t len;

    return !mbedtls_asn1_get_tag(&at, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) && at + len == end;
}

static const char *read_chain(mbedtls_x509_crt **chain, const char *text)
{
    size_t room = ROOM, used;

    for (;; text += used) {
        mbedtls_pem_context pem;
        int err;
        bool fits;

        mbedtls_pem_init(&pem);
        err = mbedtls_pem_read_buffer(&pem, BEGIN, END, (const u8 *)text, NULL, 0, &used);
        if (err == MBEDTLS_ERR_PEM_NO_HEADER_FOOTER_PRESENT && !strstr(text, BEGIN))
            return *chain ? NULL : "no certificate, expected " BEGIN " and what follows it, in PEM";
        if (err || !is_whole(&pem)) {
            mbedtls_pem_free(&pem);
            return "a certificate is damaged, expected base64 of all of it between " BEGIN " and " END;
        }
        fits = pem.buflen + 3 <= room;
        room -= fits ? pem.buflen + 3 : 0;
        fits = fits && chain_append(chain, &pem);
        mbedtls_pem_free(&pem);
        if (!fits)
            return "the certificates are too long, expected at most 4 KB, without the CA's own";
    }
}

static const char *read_key(mbedtls_pk_context *key, const char *text, size_t len)
{
    if (mbedtls_pk_parse_key(key, (const u8 *)text, len + 1, NULL, 0) || mbedtls_pk_get_type(key) != MBEDTLS_PK_ECKEY ||
        mbedtls_pk_ec(*key)->grp.id != MBEDTLS_ECP_DP_SECP256R1)
        return "no private key, expected one for ECDSA over P-256, in PEM and not encrypted";
    if (mbedtls_pk_check_pair(key, key)) /* the file names its public half, too, and mbedTLS has believed that */
        return "the private key is damaged: its public half is that of another one";
    /* The structure of keys for ECDSA alone is the same, but mbedTLS signs with such a key itself, and not with a copy:
     * so what it has computed of the base point once is kept. */
    key->pk_info = mbedtls_pk_info_from_type(MBEDTLS_PK_ECDSA);
    return NULL;
}

/* Our public key is somewhere in the certificate if that is one of it. */
static bool is_of_key(const mbedtls_x509_crt *certificate, const mbedtls_pk_context *key)
{
    const mbedtls_ecp_keypair *pair = mbedtls_pk_ec(*key);
    u8 point[POINT];
    size_t len;

    if (mbedtls_ecp_point_write_binary(&pair->grp, &pair->Q, MBEDTLS_ECP_PF_UNCOMPRESSED, &len, point, sizeof(point)))
        return false;
    for (size_t at = 0; at + len <= certificate->raw.len; at++)
        if (!memcmp(certificate->raw.p + at, point, len))
            return true;
    return false;
}

static const char *read_text(struct certificate *certificate, const char *text, size_t len)
{
    const char *wrong = read_chain(&certificate->chain, text);

    if (!wrong)
        wrong = read_key(&certificate->key, text, len);
    if (wrong)
        return wrong;
    if (!is_of_key(certificate->chain, &certificate->key))
        return "the first certificate is not that of the private key";
    certificate->chain->pk = certificate->key;
    return NULL;
}

const char *certificate_read(const char *text, size_t len)
{
    struct certificate *certificate = calloc(1, sizeof(*certificate));
    char *copy = malloc(len + 1); /* mbedTLS wants it to end with NUL */
    const char *wrong = "no memory to read it";

    if (certificate)
        certificate->users = 1;
    if (certificate && copy) {
        memcpy(copy, text, len);
        copy[len] = '\0';
        wrong = read_text(certificate, copy, len);
        wipe(copy, len);
    }
    free(copy);
    certificate_release(wrong ? certificate : ours);
    if (!wrong)
        ours = certificate;
    return wrong;
}

int certificate_show(struct mbedtls_ssl_config *config, struct certificate **shown)
{
    ours->users++;
    *shown = ours;
    return mbedtls_ssl_conf_own_cert(config, ours->chain, &ours->key);
}

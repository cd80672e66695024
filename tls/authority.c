/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mbedTLS 2.28 knows no addresses in certificates, only names, and it is built without a clock. So it calls us for each
 * certificate of the chain that it has verified, from the CA's to the server's, and we add what we find.
 */
#include "tls/authority.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/ssl.h>

#include "config/netaddr.h"
#include "host/calendar.h"
#include "host/clock.h"
#include "host/rtc.h"

#define IP_ADDRESS (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7) /* RFC 5280, 4.2.1.6 */

static mbedtls_x509_crt ours;

static const char *judge_file(const mbedtls_x509_crt *chain)
{
    for (const mbedtls_x509_crt *crt = chain; crt; crt = crt->next) {
        if (!crt->ca_istrue)
            return "a certificate is not that of a CA, expected CA.pem, as tools/mkkeys ca makes it";
        if (!mbedtls_pk_can_do(&crt->pk, MBEDTLS_PK_ECDSA))
            return "a CA has no key for ECDSA, expected one over P-256";
    }
    return NULL;
}

const char *authority_read(const char *text, size_t len)
{
    char *copy = malloc(len + 1); /* mbedTLS wants it to end with NUL */
    int err = MBEDTLS_ERR_X509_ALLOC_FAILED;

    mbedtls_x509_crt_free(&ours);
    if (copy) {
        memcpy(copy, text, len);
        copy[len] = '\0';
        err = mbedtls_x509_crt_parse(&ours, (const u8 *)copy, len + 1);
    }
    free(copy);
    if (err)
        return "no certificate of a CA, expected one in PEM, signed by ECDSA over P-256 with SHA-256";
    return judge_file(&ours);
}

/* Something that grows with time. */
static u64 order(const mbedtls_x509_time *time)
{
    const int parts[] = { time->year, time->mon, time->day, time->hour, time->min, time->sec };
    u64 order = 0;

    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        order = order * 100 + (u64)parts[i];
    return order;
}

static u64 order_now(void)
{
    struct date date = calendar_date(rtc_now_ns() / NS_PER_S);
    mbedtls_x509_time now = { (int)date.year, date.month, date.day, date.hour, date.minute, date.second };

    return order(&now);
}

static bool is_for(const mbedtls_x509_crt *certificate, const struct authority_demand *demand)
{
    for (const mbedtls_x509_sequence *name = &certificate->subject_alt_names; name; name = name->next)
        if (name->buf.tag == IP_ADDRESS && name->buf.len == demand->len &&
            !memcmp(name->buf.p, demand->address, demand->len))
            return true;
    return false;
}

/* Called for each certificate; the server's own has depth 0. */
static int judge(void *demand, mbedtls_x509_crt *certificate, int depth, u32 *flags)
{
    u64 now = order_now();

    if (now < order(&certificate->valid_from))
        *flags |= MBEDTLS_X509_BADCERT_FUTURE;
    if (now > order(&certificate->valid_to))
        *flags |= MBEDTLS_X509_BADCERT_EXPIRED;
    if (depth == 0 && !is_for(certificate, demand))
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    return 0;
}

bool authority_demands(struct mbedtls_ssl_config *config, const char *host, struct authority_demand *demand)
{
    size_t len = strlen(host);

    demand->len = netaddr_ip4(host, len, demand->address) ? 4 : 16;
    if (demand->len == 16 && !netaddr_ip6(host, len, demand->address))
        return false;
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(config, &ours, NULL);
    mbedtls_ssl_conf_cert_profile(config, &mbedtls_x509_crt_profile_suiteb);
    mbedtls_ssl_conf_verify(config, judge, demand);
    return true;
}

int authority_fault(u32 flags)
{
    const u32 dates = MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE;

    if (!flags || flags & ~(dates | MBEDTLS_X509_BADCERT_CN_MISMATCH))
        return -EINVAL;
    return flags & dates ? -ESTALE : -EPERM;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/ssl.h>

#include "host/bits.h"
#include "host/panic.h"
#include "tls/authority.h"
#include "tls/certificate.h"
#include "tls/random.h"
#include "tls/rights.h"
#include "tls/wipe.h"

/* The Finished of each side is its record 0 under the new keys. */
#define FIRST_SEQ 1
#define STACK_USED KiB(6) /* by a step, at most, down to the multiplication on the curve */

/* So the stream of a hypervisor without keys begins (stream/wire.h); as long as the head of a record. */
static const u8 plain[] = { 'G', 'O', 'D', 'W', 'I' };

struct handshake {
    mbedtls_ssl_config config; /* of its own: keyring and certificate may change under others */
    mbedtls_ssl_context ssl;
    const struct handshake_ops *ops;
    void *ctx;
    enum handshake_role role;
    int err;                   /* of the ops; 0: none */
    int refused;               /* of keyring_find; 0: not */
    struct certificate *shown; /* NULL: none */
    struct authority_demand demand;
    char host[KEYRING_HOST];
    u8 first[sizeof(plain)];           /* bytes of the peer's */
    size_t heard;                      /* so many of them */
    u8 keys[2 * (SEAL_KEY + SEAL_IV)]; /* of the client and of the server, then their IVs */
    char peer[KEYRING_NAME];
};

/* Among hypervisors one curve is enough. Not all programs have it. Where certificates are shown they know no keys. */
static const int peer_suites[] = { MBEDTLS_TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0 };
static const mbedtls_ecp_group_id peer_curves[] = { MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_NONE };
static const int certificate_suites[] = { MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 0 };
static const mbedtls_ecp_group_id certificate_curves[] = { MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1,
                                                           MBEDTLS_ECP_DP_NONE };
static const int hashes[] = { MBEDTLS_MD_SHA256, MBEDTLS_MD_NONE };

static bool is_server(const struct handshake *handshake)
{
    return handshake->role == HANDSHAKE_OF_PEER || handshake->role == HANDSHAKE_OF_STRANGER;
}

static int export_keys(void *ctx, const unsigned char *master, const unsigned char *block, size_t mac_len,
                       size_t key_len, size_t iv_len)
{
    struct handshake *handshake = ctx;

    (void)master;
    assert(mac_len == 0 && key_len == SEAL_KEY && iv_len == SEAL_IV);
    memcpy(handshake->keys, block, sizeof(handshake->keys));
    return 0;
}

/* A client says who it is, whom it wants to reach, and which key it has. */
static int find_key(void *ctx, mbedtls_ssl_context *ssl, const unsigned char *identity, size_t len)
{
    struct handshake *handshake = ctx;
    const u8 *key;

    handshake->refused = keyring_find(handshake->host, identity, len, handshake->peer, &key);
    if (!handshake->refused)
        return mbedtls_ssl_set_hs_psk(ssl, key, KEYRING_KEY);
    /* Behind this alert comes mbedTLS's own, that the identity is unknown; a client heeds the first one. */
    if (handshake->refused != -EACCES)
        mbedtls_ssl_send_alert_message(ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED);
    return -1;
}

/* Say as a client who we are, whom we want to reach, and which key we have. While the connection was opened the host
 * may have become none of our peers: it is not offered the group's key instead. */
static int offer(struct handshake *handshake)
{
    char identity[KEYRING_IDENTITY], words[RIGHTS_WORDS];
    const u8 *key;

    if (!rights_reach(handshake->host, words))
        return MBEDTLS_ERR_SSL_UNKNOWN_IDENTITY;
    keyring_offer(handshake->host, identity, &key);
    return mbedtls_ssl_conf_psk(&handshake->config, key, KEYRING_KEY, (const u8 *)identity, strlen(identity));
}

static int configure(struct handshake *handshake)
{
    mbedtls_ssl_config *config = &handshake->config;
    bool to_server = handshake->role == HANDSHAKE_TO_SERVER;
    bool certificates = to_server || handshake->role == HANDSHAKE_OF_STRANGER;

    mbedtls_ssl_conf_endpoint(config, is_server(handshake) ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT);
    mbedtls_ssl_conf_transport(config, MBEDTLS_SSL_TRANSPORT_STREAM);
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_max_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_ciphersuites(config, certificates ? certificate_suites : peer_suites);
    mbedtls_ssl_conf_curves(config, certificates ? certificate_curves : peer_curves);
    mbedtls_ssl_conf_sig_hashes(config, hashes);
    mbedtls_ssl_conf_extended_master_secret(config, MBEDTLS_SSL_EXTENDED_MS_ENABLED);
    mbedtls_ssl_conf_rng(config, random_for_mbedtls, NULL);
    mbedtls_ssl_conf_export_keys_cb(config, export_keys, handshake);
    if (to_server && !authority_demands(config, handshake->host, &handshake->demand))
        return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    if (certificates)
        return certificate_show(config, &handshake->shown);
    if (!is_server(handshake))
        return offer(handshake);
    mbedtls_ssl_conf_psk_cb(config, find_key, handshake);
    return 0;
}

/* What an op returned, as mbedTLS wants to hear it. */
static int told(struct handshake *handshake, long done, int again)
{
    if (done > 0)
        return (int)done;
    if (done == -EAGAIN)
        return again;
    handshake->err = (int)done;
    return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

static int send(void *ctx, const unsigned char *bytes, size_t len)
{
    struct handshake *handshake = ctx;

    return told(handshake, handshake->ops->send(handshake->ctx, bytes, len), MBEDTLS_ERR_SSL_WANT_WRITE);
}

static int receive(void *ctx, unsigned char *bytes, size_t len)
{
    struct handshake *handshake = ctx;
    long got = handshake->ops->receive(handshake->ctx, bytes, len);

    if (got > 0 && handshake->heard < sizeof(handshake->first)) {
        size_t part = MIN((size_t)got, sizeof(handshake->first) - handshake->heard);

        memcpy(handshake->first + handshake->heard, bytes, part);
        handshake->heard += part;
    }
    return told(handshake, got, MBEDTLS_ERR_SSL_WANT_READ);
}

struct handshake *handshake_begin(enum handshake_role role, const char *host, const struct handshake_ops *ops,
                                  void *ctx)
{
    struct handshake *handshake = calloc(1, sizeof(*handshake));

    if (!handshake)
        return NULL;
    handshake->ops = ops;
    handshake->ctx = ctx;
    handshake->role = role;
    snprintf(handshake->host, sizeof(handshake->host), "%s", host);
    mbedtls_ssl_config_init(&handshake->config);
    mbedtls_ssl_init(&handshake->ssl);
    if (configure(handshake) || mbedtls_ssl_setup(&handshake->ssl, &handshake->config)) {
        handshake_free(handshake);
        return NULL;
    }
    mbedtls_ssl_set_bio(&handshake->ssl, handshake, send, receive, NULL);
    return handshake;
}

/* Why there is no handshake with a server, which was to show a certificate, and to take ours. */
static int server_reason(const struct handshake *handshake, bool alert)
{
    if (alert)
        return handshake->ssl.state >= MBEDTLS_SSL_CLIENT_CHANGE_CIPHER_SPEC ? -EACCES : -EPROTO;
    if (handshake->ssl.state == MBEDTLS_SSL_SERVER_CERTIFICATE)
        return authority_fault(mbedtls_ssl_get_verify_result(&handshake->ssl));
    return -EPROTO;
}

/* Why mbedTLS has given up with this error. An alert of the peer, or a record of it that is not under our key, means
 * that it has another key; before keys matter both mean that the peer wants something else. */
static int reason(const struct handshake *handshake, int err)
{
    bool alert = err == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE;

    if (handshake->role == HANDSHAKE_TO_SERVER)
        return server_reason(handshake, alert);
    if (handshake->refused)
        return handshake->refused;
    if (handshake->heard == sizeof(plain) && !memcmp(handshake->first, plain, sizeof(plain)))
        return -ENOPROTOOPT;
    if (alert && handshake->ssl.in_msg[1] == MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED)
        return -EPERM;
    if (handshake->ssl.state >= MBEDTLS_SSL_CLIENT_CHANGE_CIPHER_SPEC && (alert || err == MBEDTLS_ERR_SSL_INVALID_MAC))
        return -EACCES;
    return -EPROTO;
}

/* mbedTLS wipes what it leaves in memory, but Everest's multiplication leaves the secret scalar on the stack. */
static __attribute__((noinline)) void wipe_stack(void)
{
    u8 used[STACK_USED];

    wipe(used, sizeof(used));
}

int handshake_step(struct handshake *handshake)
{
    int err = mbedtls_ssl_handshake(&handshake->ssl);

    wipe_stack();
    if (!err)
        return handshake->role == HANDSHAKE_TO_SERVER && !handshake->ssl.client_auth ? -EOPNOTSUPP : 0;
    if (err == MBEDTLS_ERR_SSL_WANT_READ || err == MBEDTLS_ERR_SSL_WANT_WRITE)
        return -EAGAIN;
    if (handshake->err)
        return handshake->err;
    if (err == MBEDTLS_ERR_SSL_ALLOC_FAILED)
        return -ENOMEM;
    return reason(handshake, err);
}

void handshake_take(struct handshake *handshake, struct handshake_result *result)
{
    const u8 *key[2] = { handshake->keys, handshake->keys + SEAL_KEY };
    const u8 *iv[2] = { handshake->keys + 2 * SEAL_KEY, handshake->keys + 2 * SEAL_KEY + SEAL_IV };
    bool server = is_server(handshake);

    seal_init(&result->out, key[server], iv[server], FIRST_SEQ);
    seal_init(&result->in, key[!server], iv[!server], FIRST_SEQ);
    memcpy(result->peer, handshake->peer, sizeof(result->peer));
}

void handshake_free(struct handshake *handshake)
{
    mbedtls_ssl_free(&handshake->ssl);
    mbedtls_ssl_config_free(&handshake->config);
    certificate_release(handshake->shown);
    wipe(handshake, sizeof(*handshake));
    free(handshake);
}

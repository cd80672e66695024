/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An identity is NAME>HOST#ID. The ID is the beginning of a hash of the key: it tells which of two keys is meant, and
 * nothing about either. So it is compared like any text; tags are compared in constant time, and keys by the handshake
 * alone, which both ends complete only if they have heard the same identity. Tags are made under a key of their own,
 * which the group's key gives, but which does not give that one away.
 */
#include "tls/keyring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/constant_time.h>
#include <mbedtls/md.h>
#include <mbedtls/platform_util.h>

#include "config/config.h"
#include "host/bits.h"
#include "host/panic.h"
#include "tls/hex.h"
#include "tls/rights.h"

#define KEYS 2   /* of the group, and of each peer */
#define ID 4     /* bytes of the hash */
#define LINE 320 /* with the terminator */

static struct secret {
    const struct rights *peer; /* whose key this is, beside our own; NULL: the group's */
    u8 key[KEYRING_KEY];
    char id[2 * ID + 1];
    mbedtls_md_context_t tags; /* HMAC under the key of tags: nothing is allocated when a tag is made */
} keys[KEYS * (1 + RIGHTS_PEERS)];
static unsigned count;
static char our_name[KEYRING_NAME];

bool keyring_present(void)
{
    return count > 0;
}

static bool is_zero(const u8 key[KEYRING_KEY])
{
    static const u8 zeros[KEYRING_KEY];

    return !memcmp(key, zeros, KEYRING_KEY);
}

static const mbedtls_md_info_t *sha256(void)
{
    return mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
}

/* What the key gives for a use of it. */
static void derive(const struct secret *key, const char *use, u8 hash[MBEDTLS_MD_MAX_SIZE])
{
    int err = mbedtls_md_hmac(sha256(), key->key, KEYRING_KEY, (const u8 *)use, strlen(use), hash);

    assert(!err);
}

static void prepare(struct secret *key)
{
    u8 hash[MBEDTLS_MD_MAX_SIZE];
    int err;

    derive(key, "godwit key id", hash);
    snprintf(key->id, sizeof(key->id), "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
    derive(key, "godwit frames", hash);
    err = mbedtls_md_setup(&key->tags, sha256(), 1);
    assert(!err);
    err = mbedtls_md_hmac_starts(&key->tags, hash, KEYRING_KEY);
    assert(!err);
    mbedtls_platform_zeroize(hash, sizeof(hash));
}

/* The key that is offered to this peer, or (NULL) of the group. NULL: there is none. */
static struct secret *first_of(const struct rights *peer)
{
    for (unsigned i = 0; i < count; i++)
        if (keys[i].peer == peer)
            return &keys[i];
    return NULL;
}

/* A key of this peer's, or (NULL) of the group. Returns NULL, or what is wrong. */
static const char *take_key(const struct rights *peer, const char *text)
{
    struct secret *key = &keys[count];
    unsigned others = 0;

    for (unsigned i = 0; i < count; i++)
        others += keys[i].peer == peer;
    if (others == KEYS)
        return "too many keys, expected one or two";
    if (!hex_read(text, strlen(text), key->key, KEYRING_KEY))
        return "not a key, expected 64 hexadecimal digits";
    if (is_zero(key->key))
        return "a key of zeros, which anybody can guess, expected one that mkkeys has made";
    for (unsigned i = 0; i < count; i++)
        if (!memcmp(keys[i].key, key->key, KEYRING_KEY))
            return "the same key again, expected another one";
    key->peer = peer;
    prepare(key);
    count++;
    return NULL;
}

/* A line, without its end. Returns NULL, or what is wrong. */
static const char *take_line(char *line)
{
    const struct rights *peer = NULL;
    char *rest = line, *word = strsep(&rest, " ");

    if (!*line || *line == '#')
        return NULL;
    for (unsigned i = 0; rights_get(i); i++)
        peer = rights_get(i);
    if (!strcmp(word, "group"))
        return take_key(NULL, rest ? rest : "");
    if (!strcmp(word, "key") && peer)
        return take_key(peer, rest ? rest : "");
    return rights_line(word, rest);
}

/* What must be in a keyring. Returns NULL, or what is wrong. */
static const char *missing(void)
{
    if (!first_of(NULL))
        return "no key of the group, expected group and a key";
    for (unsigned i = 0; rights_get(i); i++) {
        if (!first_of(rights_get(i)))
            return "a peer without a key, expected key and 64 hexadecimal digits behind each peer";
        if (!strcmp(rights_get(i)->name, our_name))
            return "a peer has this hypervisor's own name";
    }
    return NULL;
}

static void forget(void)
{
    for (unsigned i = 0; i < count; i++)
        mbedtls_md_free(&keys[i].tags);
    mbedtls_platform_zeroize(keys, sizeof(keys));
    count = 0;
    rights_forget();
}

static int refuse(struct keyring_fault *fault, unsigned line, const char *words)
{
    forget();
    *fault = (struct keyring_fault){ line, words };
    return -EINVAL;
}

int keyring_read(const char *text, size_t len, const char *name, struct keyring_fault *fault)
{
    const char *wrong = NULL;
    unsigned number = 0;
    char line[LINE];

    forget();
    snprintf(our_name, sizeof(our_name), "%s", name);
    while (len > 0 && !wrong) {
        const char *end = memchr(text, '\n', len);
        size_t taken = end ? (size_t)(end - text) : len;

        number++;
        if (taken < sizeof(line) && !memchr(text, '\0', taken)) {
            memcpy(line, text, taken);
            line[taken] = '\0';
            wrong = take_line(line);
        } else {
            wrong = "not a line of a keyring, expected at most 319 characters";
        }
        text += taken + (end != NULL);
        len -= taken + (end != NULL);
    }
    mbedtls_platform_zeroize(line, sizeof(line));
    if (wrong)
        return refuse(fault, number, wrong);
    wrong = missing();
    return wrong ? refuse(fault, 0, wrong) : 0;
}

void keyring_offer(const char *host, char identity[KEYRING_IDENTITY], const u8 **key)
{
    const struct secret *first = first_of(rights_of_host(host));

    snprintf(identity, KEYRING_IDENTITY, "%s>%s#%s", our_name, host, first->id);
    *key = first->key;
}

/* The identity's parts, each a string of its own in `text`. False: it has other ones. */
static bool split(const u8 *identity, size_t len, char text[KEYRING_IDENTITY], const char **host, const char **id)
{
    char *to, *hash;

    if (len >= KEYRING_IDENTITY || memchr(identity, '\0', len))
        return false;
    memcpy(text, identity, len);
    text[len] = '\0';
    to = strchr(text, '>');
    hash = to ? strchr(to, '#') : NULL;
    if (!hash)
        return false;
    *to = *hash = '\0';
    *host = to + 1;
    *id = hash + 1;
    return true;
}

int keyring_find(const char *host, const u8 *identity, size_t len, char name[KEYRING_NAME], const u8 **key)
{
    char text[KEYRING_IDENTITY];
    const struct rights *peer;
    const char *meant, *id;

    if (!split(identity, len, text, &meant, &id) || strlen(text) >= KEYRING_NAME || config_name_fault(text))
        return -EACCES;
    *key = NULL;
    peer = rights_of_name(text, strlen(text));
    for (unsigned i = 0; i < count && (peer || !rights_get(0)); i++)
        if (keys[i].peer == peer && !strcmp(id, keys[i].id))
            *key = keys[i].key;
    if (!*key)
        return -EACCES;
    if (strcmp(meant, host) != 0)
        return -EPERM;
    if (!strcmp(text, our_name))
        return -ELOOP;
    memcpy(name, text, strlen(text) + 1);
    return 0;
}

static void tag_under(struct secret *key, const void *bytes, size_t len, u8 hash[MBEDTLS_MD_MAX_SIZE])
{
    int err = mbedtls_md_hmac_reset(&key->tags);

    err = err ? err : mbedtls_md_hmac_update(&key->tags, bytes, len);
    err = err ? err : mbedtls_md_hmac_finish(&key->tags, hash);
    assert(!err);
}

void keyring_tag(const void *bytes, size_t len, u8 tag[KEYRING_TAG])
{
    u8 hash[MBEDTLS_MD_MAX_SIZE];

    tag_under(first_of(NULL), bytes, len, hash);
    memcpy(tag, hash, KEYRING_TAG);
}

bool keyring_tagged(const void *bytes, size_t len, const u8 tag[KEYRING_TAG])
{
    u8 hash[MBEDTLS_MD_MAX_SIZE];

    for (unsigned i = 0; i < count; i++) {
        if (keys[i].peer)
            continue;
        tag_under(&keys[i], bytes, len, hash);
        if (!mbedtls_ct_memcmp(hash, tag, KEYRING_TAG))
            return true;
    }
    return false;
}

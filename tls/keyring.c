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

#define KEYS 2
#define ID 4 /* bytes of the hash */

static struct group_key {
    u8 key[KEYRING_KEY];
    char id[2 * ID + 1];
    mbedtls_md_context_t tags; /* HMAC under the key of tags: nothing is allocated when a tag is made */
} keys[KEYS];
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
static void derive(const struct group_key *key, const char *use, u8 hash[MBEDTLS_MD_MAX_SIZE])
{
    int err = mbedtls_md_hmac(sha256(), key->key, KEYRING_KEY, (const u8 *)use, strlen(use), hash);

    assert(!err);
}

static void prepare(struct group_key *key)
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

/* A line, without its end. Returns NULL, or what is wrong. */
static const char *take_line(const char *line, size_t len)
{
    static const char word[] = "group ";
    const size_t before = sizeof(word) - 1;

    if (len == 0 || *line == '#')
        return NULL;
    if (len < before || memcmp(line, word, before))
        return "expected group and a key";
    if (count == KEYS)
        return "too many keys, expected one or two";
    if (!hex_read(line + before, len - before, keys[count].key, KEYRING_KEY))
        return "not a key, expected 64 hexadecimal digits";
    if (is_zero(keys[count].key))
        return "a key of zeros, which anybody can guess, expected one that mkkeys has made";
    if (count == 1 && !memcmp(keys[0].key, keys[1].key, KEYRING_KEY))
        return "the same key again, expected another one";
    prepare(&keys[count++]);
    return NULL;
}

static void forget(void)
{
    for (unsigned i = 0; i < KEYS; i++)
        mbedtls_md_free(&keys[i].tags);
    mbedtls_platform_zeroize(keys, sizeof(keys));
    count = 0;
}

static int refuse(struct keyring_fault *fault, unsigned line, const char *words)
{
    forget();
    *fault = (struct keyring_fault){ line, words };
    return -EINVAL;
}

int keyring_read(const char *text, size_t len, const char *name, struct keyring_fault *fault)
{
    unsigned number = 0;

    forget();
    snprintf(our_name, sizeof(our_name), "%s", name);
    while (len > 0) {
        const char *end = memchr(text, '\n', len), *wrong;
        size_t line = end ? (size_t)(end - text) : len;

        number++;
        wrong = take_line(text, line);
        if (wrong)
            return refuse(fault, number, wrong);
        text += line + (end != NULL);
        len -= line + (end != NULL);
    }
    return count ? 0 : refuse(fault, 0, "no key, expected group and a key");
}

void keyring_offer(const char *host, char identity[KEYRING_IDENTITY], const u8 **key)
{
    snprintf(identity, KEYRING_IDENTITY, "%s>%s#%s", our_name, host, keys[0].id);
    *key = keys[0].key;
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
    const char *meant, *id;

    if (!split(identity, len, text, &meant, &id) || strlen(text) >= KEYRING_NAME || config_name_fault(text))
        return -EACCES;
    *key = NULL;
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(id, keys[i].id))
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

static void tag_under(struct group_key *key, const void *bytes, size_t len, u8 hash[MBEDTLS_MD_MAX_SIZE])
{
    int err = mbedtls_md_hmac_reset(&key->tags);

    err = err ? err : mbedtls_md_hmac_update(&key->tags, bytes, len);
    err = err ? err : mbedtls_md_hmac_finish(&key->tags, hash);
    assert(!err);
}

void keyring_tag(const void *bytes, size_t len, u8 tag[KEYRING_TAG])
{
    u8 hash[MBEDTLS_MD_MAX_SIZE];

    tag_under(&keys[0], bytes, len, hash);
    memcpy(tag, hash, KEYRING_TAG);
}

bool keyring_tagged(const void *bytes, size_t len, const u8 tag[KEYRING_TAG])
{
    u8 hash[MBEDTLS_MD_MAX_SIZE];

    for (unsigned i = 0; i < count; i++) {
        tag_under(&keys[i], bytes, len, hash);
        if (!mbedtls_ct_memcmp(hash, tag, KEYRING_TAG))
            return true;
    }
    return false;
}

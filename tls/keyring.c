/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An identity is NAME>HOST#ID. The ID is the beginning of a hash of the key: it tells which of two keys is meant, and
 * nothing about either. So it is compared like any text; tags are compared in constant time, and keys by the handshake
 * alone, which both ends complete only if they have heard the same identity. Tags are made under a key of their own,
 * which the group's key gives, but which does not give that one away.
 *
 * A file is read into the ring that is not in use, and the two change places when it is right.
 */
#include "tls/keyring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/constant_time.h>
#include <mbedtls/md.h>

#include "config/config.h"
#include "host/bits.h"
#include "host/panic.h"
#include "tls/hex.h"
#include "tls/rights.h"
#include "tls/wipe.h"

#define KEYS 2   /* of the group, and of each peer */
#define ID 4     /* bytes of the hash */
#define LINE 320 /* with the terminator */

struct secret {
    const struct rights *peer; /* whose key this is, beside our own; NULL: the group's */
    u8 key[KEYRING_KEY];
    char id[2 * ID + 1];
    bool first;                /* of its peer's, or the group's */
    u64 since;                 /* ns: when it was read, as the first or as the second */
    mbedtls_md_context_t tags; /* HMAC under the key of tags: nothing is allocated when a tag is made */
};

struct ring {
    struct secret keys[KEYS * (1 + RIGHTS_PEERS)];
    unsigned count;
    struct rights_table peers;
};

static struct ring rings[2], *ours = rings; /* the other one is empty, but while a file is read */
static char our_name[KEYRING_NAME];
static const char no_memory[] = "no memory for the key";

bool keyring_present(void)
{
    return ours->count > 0;
}

static bool same(const u8 a[KEYRING_KEY], const u8 b[KEYRING_KEY])
{
    return !mbedtls_ct_memcmp(a, b, KEYRING_KEY);
}

static const mbedtls_md_info_t *sha256(void)
{
    return mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
}

/* What the key gives for a use of it. False: no memory. */
static bool derive(const struct secret *key, const char *use, u8 hash[MBEDTLS_MD_MAX_SIZE])
{
    return !mbedtls_md_hmac(sha256(), key->key, KEYRING_KEY, (const u8 *)use, strlen(use), hash);
}

/* False: no memory. */
static bool prepare(struct secret *key)
{
    u8 hash[MBEDTLS_MD_MAX_SIZE] = { 0 };
    bool done = derive(key, "godwit key id", hash);

    snprintf(key->id, sizeof(key->id), "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
    done = done && derive(key, "godwit frames", hash) && !mbedtls_md_setup(&key->tags, sha256(), 1) &&
           !mbedtls_md_hmac_starts(&key->tags, hash, KEYRING_KEY);
    wipe(hash, sizeof(hash));
    return done;
}

/* The key that is offered to this peer, or (NULL) of the group. NULL: there is none. */
static struct secret *first_of(struct ring *ring, const struct rights *peer)
{
    for (unsigned i = 0; i < ring->count; i++)
        if (ring->keys[i].peer == peer)
            return &ring->keys[i];
    return NULL;
}

/* A key of this peer's, or (NULL) of the group. Returns NULL, or what is wrong. */
static const char *take_key(struct ring *ring, const struct rights *peer, const char *text)
{
    static const u8 zeros[KEYRING_KEY];
    struct secret *key = &ring->keys[ring->count];
    unsigned others = 0;

    for (unsigned i = 0; i < ring->count; i++)
        others += ring->keys[i].peer == peer;
    if (others == KEYS)
        return "too many keys, expected one or two";
    if (!hex_read(text, strlen(text), key->key, KEYRING_KEY))
        return "not a key, expected 64 hexadecimal digits";
    if (same(key->key, zeros))
        return "a key of zeros, which anybody can guess, expected one that mkkeys has made";
    for (unsigned i = 0; i < ring->count; i++)
        if (same(ring->keys[i].key, key->key))
            return "the same key again, expected another one";
    key->peer = peer;
    key->first = !others;
    ring->count++;
    return prepare(key) ? NULL : no_memory;
}

/* A line, without its end. Returns NULL, or what is wrong. */
static const char *take_line(struct ring *ring, char *line)
{
    const struct rights *peer = ring->peers.count ? &ring->peers.peer[ring->peers.count - 1] : NULL;
    char *rest = line, *word = strsep(&rest, " ");

    if (!*line || *line == '#')
        return NULL;
    if (!strcmp(word, "group"))
        return take_key(ring, NULL, rest ? rest : "");
    if (!strcmp(word, "key") && peer)
        return take_key(ring, peer, rest ? rest : "");
    return rights_line(&ring->peers, word, rest);
}

/* What must be in a keyring. Returns NULL, or what is wrong. */
static const char *missing(struct ring *ring, const char *name)
{
    if (!first_of(ring, NULL))
        return "no key of the group, expected group and a key";
    for (unsigned i = 0; i < ring->peers.count; i++) {
        if (!first_of(ring, &ring->peers.peer[i]))
            return "a peer without a key, expected key and 64 hexadecimal digits behind each peer";
        if (!strcmp(ring->peers.peer[i].name, name))
            return "a peer has this hypervisor's own name";
    }
    return NULL;
}

static void forget(struct ring *ring)
{
    for (unsigned i = 0; i < ring->count; i++)
        mbedtls_md_free(&ring->keys[i].tags);
    wipe(ring, sizeof(*ring));
}

/* Returns NULL; or what is wrong, in line *number. */
static const char *read_lines(struct ring *ring, const char *text, size_t len, unsigned *number)
{
    const char *wrong = NULL;
    char line[LINE];

    while (len > 0 && !wrong) {
        const char *end = memchr(text, '\n', len);
        size_t taken = end ? (size_t)(end - text) : len;

        ++*number;
        if (taken < sizeof(line) && !memchr(text, '\0', taken)) {
            memcpy(line, text, taken);
            line[taken] = '\0';
            wrong = take_line(ring, line);
        } else {
            wrong = "not a line of a keyring, expected at most 319 characters";
        }
        text += taken + (end != NULL);
        len -= taken + (end != NULL);
    }
    wipe(line, sizeof(line));
    return wrong;
}

/* Since when a key of the new ring is what it is: since the old one had it in the same place, or since now. */
static void date(struct secret *key, const struct ring *old, u64 now)
{
    key->since = now;
    for (unsigned i = 0; i < old->count; i++)
        if (same(old->keys[i].key, key->key) && old->keys[i].first == key->first)
            key->since = old->keys[i].since;
}

int keyring_read(const char *text, size_t len, const char *name, u64 now, struct keyring_fault *fault)
{
    struct ring *old = ours, *ring = &rings[old == rings];

    *fault = (struct keyring_fault){ 0 };
    fault->words = read_lines(ring, text, len, &fault->line);
    if (!fault->words) {
        fault->line = 0;
        fault->words = missing(ring, name);
    }
    if (fault->words) {
        forget(ring);
        return fault->words == no_memory ? -ENOMEM : -EINVAL;
    }
    for (unsigned i = 0; i < ring->count; i++)
        date(&ring->keys[i], old, now);
    assert(strlen(name) < sizeof(our_name));
    memmove(our_name, name, strlen(name) + 1);
    ours = ring;
    rights_use(&ring->peers);
    forget(old);
    return 0;
}

const char *keyring_name(void)
{
    return our_name;
}

bool keyring_show(unsigned index, struct keyring_key *shown)
{
    const struct secret *key = &ours->keys[index];

    if (index >= ours->count)
        return false;
    *shown = (struct keyring_key){
        .peer = key->peer ? key->peer->name : NULL,
        .host = key->peer ? key->peer->host : NULL,
        .id = key->id,
        .offered = key->first,
        .since = key->since,
    };
    return true;
}

void keyring_offer(const char *host, char identity[KEYRING_IDENTITY], const u8 **key)
{
    const struct secret *first = first_of(ours, rights_of_host(host));

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
    for (unsigned i = 0; i < ours->count && (peer || !rights_get(0)); i++)
        if (ours->keys[i].peer == peer && !strcmp(id, ours->keys[i].id))
            *key = ours->keys[i].key;
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

    tag_under(first_of(ours, NULL), bytes, len, hash);
    memcpy(tag, hash, KEYRING_TAG);
}

bool keyring_tagged(const void *bytes, size_t len, const u8 tag[KEYRING_TAG])
{
    u8 hash[MBEDTLS_MD_MAX_SIZE];

    for (unsigned i = 0; i < ours->count; i++) {
        if (ours->keys[i].peer)
            continue;
        tag_under(&ours->keys[i], bytes, len, hash);
        if (!mbedtls_ct_memcmp(hash, tag, KEYRING_TAG))
            return true;
    }
    return false;
}

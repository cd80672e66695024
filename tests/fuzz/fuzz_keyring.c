/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tls/hex.c tls/rights.c */
/* sources: tls/keyring.c config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: tests/unit/stubs.c */
/* libs: -lcmocka */
/*
 * libFuzzer entry for a keyring, and for what clients say who they are. The input is a keyring's text, or makes one of
 * lines that mean something; behind it comes an identity. A keyring is taken with one or two keys of the group, and as
 * many of each peer, or refused with a line and words, and then the one before it is there as it was. An identity names
 * a host and a key that are ours, or it is refused.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdio.h>

#include "config/config.h"
#include "tls/keyring.h"
#include "tls/rights.h"

#define HOST "192.0.2.10"
#define TEXT_MAX 800
#define FORMER "former" /* name of the hypervisor while it has the keyring before the input's */

static size_t line(struct fuzz *fuzz, char *to)
{
    static const char *const lines[] = { "\n",
                                         "# a word\n",
                                         "group \n",
                                         "Group 00\n",
                                         "peer beta 192.0.2.10\n",
                                         "peer gamma 192.0.2.11\n",
                                         "allow web* db\n",
                                         "memory 8G\n",
                                         "moves 2\n" };
    u8 kind = fuzz_u8(fuzz);
    size_t len = 0;

    if (kind < 64)
        return (size_t)sprintf(to, "%s", lines[kind % ARRAY_SIZE(lines)]);
    len += (size_t)sprintf(to, kind & 16 ? "group " : "key ");
    for (unsigned i = 0; i < KEYRING_KEY; i++) /* often the same key, or one of zeros */
        len += (size_t)sprintf(to + len, kind & 1 ? "%02x" : "%02X", kind & 2 ? kind & 4 : fuzz_u8(fuzz));
    len += (size_t)sprintf(to + len, kind & 8 ? "%c\n" : "\n", kind);
    return len;
}

static size_t text_of(struct fuzz *fuzz, char text[TEXT_MAX])
{
    u8 kind = fuzz_u8(fuzz);
    size_t len = 0;

    if (kind & 1) {
        len = MIN((size_t)kind, fuzz->size);
        fuzz_bytes(fuzz, text, len);
        return len;
    }
    for (unsigned i = 0; i < kind % 9U; i++)
        len += line(fuzz, text + len);
    return len - (kind & 64 && len);
}

/* Nothing has changed. */
static void check_refusal(const struct keyring_fault *fault, const char *text, size_t len)
{
    struct keyring_key key;
    unsigned lines = 1;

    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    REQUIRE(fault->words && *fault->words && fault->line <= lines);
    REQUIRE(keyring_show(0, &key) && !key.peer && key.offered && key.since == 1 && !keyring_show(1, &key));
    REQUIRE(!rights_get(0) && !strcmp(keyring_name(), FORMER));
}

/* What a host says is understood: of `name`, by the key that we offer to it. */
static void check_host(const char *name, const char *host)
{
    char ours[KEYRING_IDENTITY], theirs[2 * KEYRING_IDENTITY], heard[KEYRING_NAME];
    static const u8 zeros[KEYRING_KEY];
    const u8 *key, *found;

    keyring_offer(host, ours, &key);
    REQUIRE(memcmp(key, zeros, KEYRING_KEY) != 0);
    snprintf(theirs, sizeof(theirs), "%s>%s%s", name, HOST, strchr(ours, '#'));
    REQUIRE(!keyring_find(HOST, (const u8 *)theirs, strlen(theirs), heard, &found));
    REQUIRE(found == key && !strcmp(heard, name));
    REQUIRE(keyring_find("192.0.2.1", (const u8 *)theirs, strlen(theirs), heard, &found) == -EPERM);
}

/* What we say is understood by the others of the group; where there are peers, what they say alone. */
static void check_keyring(void)
{
    char ours[KEYRING_IDENTITY], name[KEYRING_NAME];
    const u8 *key, *found;

    REQUIRE(keyring_present());
    for (unsigned i = 0; rights_get(i); i++)
        check_host(rights_get(i)->name, rights_get(i)->host);
    keyring_offer(HOST, ours, &key);
    REQUIRE(keyring_find(HOST, (const u8 *)ours, strlen(ours), name, &found) == (rights_get(0) ? -EACCES : -ELOOP));
    if (!rights_get(0))
        check_host("ours", HOST);
}

/* Words of the input, put between what is right, or not. */
static void check_identity(struct fuzz *fuzz)
{
    char right[KEYRING_IDENTITY], name[KEYRING_NAME];
    u8 kind = fuzz_u8(fuzz), text[2 * KEYRING_IDENTITY], *said;
    size_t from, len;
    const u8 *key;
    int err;

    keyring_offer(HOST, right, &key);
    from = MIN((size_t)kind, strlen(right));
    len = MIN(fuzz->size, (size_t)KEYRING_IDENTITY);
    fuzz_bytes(fuzz, text, len);
    memcpy(text + len, right + from, strlen(right) - from);
    len += strlen(right) - from;
    said = malloc(len ? len : 1); /* of exactly its size, for the sanitizer */
    REQUIRE(said);
    memcpy(said, text, len);
    err = keyring_find(HOST, said, len, name, &key);
    free(said);
    REQUIRE(!err || err == -EACCES || err == -EPERM || err == -ELOOP);
    if (!err)
        REQUIRE(memchr(name, 0, sizeof(name)) && !config_name_fault(name) && strcmp(name, "urs") != 0 && key);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct fuzz fuzz = { data, size };
    static const char first[] = "group 1111111111111111111111111111111111111111111111111111111111111111";
    static const char former[] = "group 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char text[TEXT_MAX], *copy;
    struct keyring_fault fault = { 0, NULL };
    size_t len = text_of(&fuzz, text);
    int err;

    copy = malloc(len ? len : 1);
    REQUIRE(copy);
    memcpy(copy, text, len);
    REQUIRE(!keyring_read(first, strlen(first), FORMER, 0, &fault));
    REQUIRE(!keyring_read(former, strlen(former), FORMER, 1, &fault));
    err = keyring_read(copy, len, "urs", 2, &fault);
    if (err) {
        check_refusal(&fault, copy, len);
    } else {
        check_keyring();
        check_identity(&fuzz);
    }
    free(copy);
    return 0;
}

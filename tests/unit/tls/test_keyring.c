/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tls/hex.c tls/rights.c */
/* sources: tls/keyring.c config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: tests/unit/stubs.c */
#include "tls/keyring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tls/rights.h"

#define A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define B "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct keyring_fault fault;
static u64 now; /* when keyrings are read */

static int reads(const char *text)
{
    /* Not one byte beyond the text is looked at: address sanitizer watches. */
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    int err;

    memcpy(copy, text, len);
    err = keyring_read(copy, len, "alpha", now, &fault);
    free(copy);
    return err;
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define HERE "192.0.2.10"

/* Another one says this to us, whose name is alpha. */
static int find(const char *identity, char name[KEYRING_NAME], const u8 **key)
{
    return keyring_find(HERE, (const u8 *)identity, strlen(identity), name, key);
}

static void test_one_key(void **state)
{
    char identity[KEYRING_IDENTITY], text[KEYRING_IDENTITY], name[KEYRING_NAME];
    const u8 *key, *found;

    (void)state;
    assert_int_equal(reads("# made today\n\ngroup " A "\n"), 0);
    assert_true(keyring_present());
    keyring_offer(HERE, identity, &key);
    assert_memory_equal(identity, "alpha>" HERE "#", 17);
    assert_int_equal(strlen(identity), 25);
    for (unsigned i = 0; i < KEYRING_KEY; i++)
        assert_int_equal(key[i], i);
    assert_null(strstr(A, identity + 17)); /* the id is none of the key's bytes */
    snprintf(text, sizeof(text), "beta>" HERE "#%s", identity + 17);
    assert_int_equal(find(text, name, &found), 0);
    assert_ptr_equal(found, key);
    assert_string_equal(name, "beta");
}

/* The first is offered; identities of both are known. */
static void test_two_keys(void **state)
{
    char identity[KEYRING_IDENTITY], old[KEYRING_IDENTITY + 1], new[KEYRING_IDENTITY + 1], name[KEYRING_NAME];
    const u8 *key;

    (void)state;
    assert_int_equal(reads("group " B), 0);
    keyring_offer(HERE, identity, &key);
    snprintf(old, sizeof(old), "b%s", identity);
    assert_int_equal(reads("group " A "\ngroup " B), 0);
    keyring_offer(HERE, identity, &key);
    snprintf(new, sizeof(new), "b%s", identity);
    assert_int_equal(key[0], 0);
    assert_string_not_equal(old, new);
    assert_int_equal(find(old, name, &key), 0);
    assert_int_equal(key[0], 0xf0);
    assert_int_equal(find(new, name, &key), 0);
    assert_int_equal(key[0], 0);
}

/* Tags are what docs/claims.md says: these are made by another implementation. The first key makes them, both are
 * taken, and what they are of can't be changed. */
static void test_tags(void **state)
{
    static const u8 by_a[KEYRING_TAG] = { 0x3b, 0xa6, 0x2e, 0xac, 0x5b, 0x44, 0xd0, 0x93,
                                          0xe8, 0x17, 0xb8, 0x0a, 0x48, 0xb4, 0x0a, 0xc3 };
    static const u8 by_b[KEYRING_TAG] = { 0x82, 0x93, 0x98, 0x54, 0xac, 0x4a, 0x7f, 0xe5,
                                          0xfd, 0x30, 0x22, 0x91, 0xfb, 0xdf, 0x1c, 0xf7 };
    char said[] = "a beat, or a claim";
    size_t len = strlen(said);
    u8 tag[KEYRING_TAG];

    (void)state;
    assert_int_equal(reads("group " A "\ngroup " B), 0);
    keyring_tag(said, len, tag);
    assert_memory_equal(tag, by_a, sizeof(tag));
    assert_true(keyring_tagged(said, len, by_a));
    assert_true(keyring_tagged(said, len, by_b));
    assert_false(keyring_tagged(said, len - 1, by_a));
    for (unsigned bit = 0; bit < 8 * sizeof(tag); bit++) {
        tag[bit / 8] ^= (u8)(1 << bit % 8);
        assert_false(keyring_tagged(said, len, tag));
        tag[bit / 8] ^= (u8)(1 << bit % 8);
    }
    said[0] = 'A';
    assert_false(keyring_tagged(said, len, by_a));
    assert_int_equal(reads("group " B), 0);
    keyring_tag("a beat, or a claim", len, tag);
    assert_memory_equal(tag, by_b, sizeof(tag));
    assert_false(keyring_tagged("a beat, or a claim", len, by_a));
}

/* What is said to one host is worth nothing at another, nor at the one that has said it. */
static void test_whom_it_is_for(void **state)
{
    char identity[KEYRING_IDENTITY], text[KEYRING_IDENTITY], name[KEYRING_NAME];
    const char *id = identity + 17;
    const u8 *key;

    (void)state;
    assert_int_equal(reads("group " A), 0);
    keyring_offer(HERE, identity, &key);
    assert_int_equal(find(identity, name, &key), -ELOOP);
    snprintf(text, sizeof(text), "beta>192.0.2.11#%s", id);
    assert_int_equal(find(text, name, &key), -EPERM);
    snprintf(text, sizeof(text), "beta>192.0.2.1#%s", id);
    assert_int_equal(find(text, name, &key), -EPERM);
    snprintf(text, sizeof(text), "beta>#%s", id);
    assert_int_equal(find(text, name, &key), -EPERM);
    snprintf(text, sizeof(text), "alpha>192.0.2.11#%s", id);
    assert_int_equal(find(text, name, &key), -EPERM);
}

static void test_identities(void **state)
{
    static const char *const forms[] = { "%s",
                                         "#%s",
                                         ">" HERE "#%s",
                                         "beta" HERE "#%s",
                                         "-x>" HERE "#%s",
                                         "a b>" HERE "#%s",
                                         "beta>" HERE "%s",
                                         "beta>" HERE "##%s",
                                         "beta>" HERE "#%s0",
                                         "beta#%s",
                                         "0123456789012345678901234567890x>" HERE "#%s" };
    char identity[KEYRING_IDENTITY], name[KEYRING_NAME], text[2 * KEYRING_IDENTITY];
    const u8 *key, *found;
    size_t len;

    (void)state;
    assert_int_equal(reads("group " A), 0);
    keyring_offer(HERE, identity, &key);
    for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        snprintf(text, sizeof(text), forms[i], identity + 17);
        assert_int_equal(find(text, name, &found), -EACCES);
    }
    assert_int_equal(find("", name, &found), -EACCES);
    assert_int_equal(find("beta>" HERE "#00000000", name, &found), -EACCES);
    snprintf(text, sizeof(text), "beta>%0*d#%s", KEYRING_IDENTITY, 0, identity + 17);
    assert_int_equal(find(text, name, &found), -EACCES);
    snprintf(text, sizeof(text), "0123456789012345678901234567890>" HERE "#%s", identity + 17);
    assert_int_equal(find(text, name, &found), 0);
    assert_ptr_equal(found, key);
    len = strlen(text);
    text[2] = '\0';
    assert_int_equal(keyring_find(HERE, (const u8 *)text, len, name, &found), -EACCES);
}

#define C "c00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define D "d00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

/* Who has a key of his own is known by that one alone, and to a keyring with such peers nobody else is known. */
static void test_peers(void **state)
{
    static const char *const keys[] = { A, B, C, D }, *const names[] = { "beta", "gamma", "delta" };
    char ids[4][KEYRING_IDENTITY], identity[2 * KEYRING_IDENTITY], name[KEYRING_NAME];
    const u8 *key;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        snprintf(identity, sizeof(identity), "group %s", keys[i]);
        assert_int_equal(reads(identity), 0);
        keyring_offer(HERE, ids[i], &key);
    }
    assert_int_equal(reads("group " A "\npeer beta 192.0.2.11\nkey " B "\nkey " C "\nallow web*\n"
                           "peer gamma 192.0.2.12\nkey " D "\n"),
                     0);
    keyring_offer("192.0.2.13", identity, &key);
    assert_int_equal(key[0], 0);
    keyring_offer("192.0.2.11", identity, &key);
    assert_memory_equal(identity, "alpha>192.0.2.11#", 17);
    assert_int_equal(key[0], 0xf0);
    keyring_offer("192.0.2.12", identity, &key);
    assert_int_equal(key[0], 0xd0);
    for (unsigned peer = 0; peer < 3; peer++)
        for (unsigned i = 0; i < 4; i++) {
            bool own = peer == 0 ? i == 1 || i == 2 : peer == 1 && i == 3;

            snprintf(identity, sizeof(identity), "%s%.80s", names[peer], ids[i] + strlen("alpha"));
            assert_int_equal(find(identity, name, &key), own ? 0 : -EACCES);
            if (own)
                assert_int_equal(key[0], i == 1 ? 0xf0 : i == 2 ? 0xc0 : 0xd0);
        }
    assert_int_equal(reads("group " A), 0); /* they are forgotten */
    snprintf(identity, sizeof(identity), "delta%.80s", ids[0] + strlen("alpha"));
    assert_int_equal(find(identity, name, &key), 0);
}

static void test_faults(void **state)
{
    static const struct {
        const char *text, *words;
        unsigned line;
    } wrong[] = {
        { "", "no key of the group, expected group and a key", 0 },
        { "# nothing\n", "no key of the group, expected group and a key", 0 },
        { "group " A "\nGroup " B, "expected group and a key, or peer NAME ADDRESS", 2 },
        { "group", "not a key, expected 64 hexadecimal digits", 1 },
        { "group ", "not a key, expected 64 hexadecimal digits", 1 },
        { "\ngroup " A "0", "not a key, expected 64 hexadecimal digits", 2 },
        { "group " A "\r\n", "not a key, expected 64 hexadecimal digits", 1 },
        { "group g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
          "not a key, expected 64 hexadecimal digits", 1 },
        { "group " A "\ngroup " A, "the same key again, expected another one", 2 },
        { "group " A "\npeer beta 192.0.2.11\nkey " A, "the same key again, expected another one", 3 },
        { "group " A "\npeer beta 192.0.2.11\nkey " B "\nkey " C "\nkey " D, "too many keys, expected one or two", 5 },
        { "group " A "\npeer beta 192.0.2.11\npeer gamma 192.0.2.12\nkey " B,
          "a peer without a key, expected key and 64 hexadecimal digits behind each peer", 0 },
        { "peer beta 192.0.2.11\nkey " B, "no key of the group, expected group and a key", 0 },
        { "group " A "\npeer alpha 192.0.2.11\nkey " B, "a peer has this hypervisor's own name", 0 },
        { "group " A "\nkey " B, "expected group and a key, or peer NAME ADDRESS", 2 },
        { "group " A "\npeer beta 192.0.2.11\nallow -",
          "expected allow and 1 to 8 names of guests, such as allow db1 web*", 3 },
        { "group " ZEROS, "a key of zeros, which anybody can guess, expected one that mkkeys has made", 1 },
        { "group " A "\ngroup " ZEROS, "a key of zeros, which anybody can guess, expected one that mkkeys has made",
          2 },
        { "group " A "\ngroup " B "\n#\ngroup " A, "too many keys, expected one or two", 4 },
    };

    char identity[KEYRING_IDENTITY], before[KEYRING_IDENTITY];
    const u8 *key, *same;

    (void)state;
    assert_int_equal(reads("group " C "\npeer delta 192.0.2.14\nkey " D), 0);
    keyring_offer(HERE, before, &key);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(reads(wrong[i].text), -EINVAL);
        assert_string_equal(fault.words, wrong[i].words);
        assert_int_equal(fault.line, wrong[i].line);
        keyring_offer(HERE, identity, &same);
        assert_string_equal(identity, before); /* the old one is there, with its peer */
        assert_ptr_equal(same, key);
        assert_string_equal(rights_get(0)->name, "delta");
        assert_null(rights_get(1));
    }
}

static void shows(unsigned index, const char *peer, bool offered, u64 since)
{
    struct keyring_key key;

    assert_true(keyring_show(index, &key));
    assert_int_equal(strlen(key.id), 8);
    assert_int_equal(key.offered, offered);
    assert_int_equal(key.since, since);
    if (!peer)
        assert_null(key.peer);
    else
        assert_string_equal(key.peer, peer);
}

/* What anybody may know, while keys are changed: which there are, and since when each is offered or taken. */
static void test_change(void **state)
{
    struct keyring_key key, other;

    (void)state;
    now = 1;
    assert_int_equal(reads("group " D), 0);
    now = 10;
    assert_int_equal(reads("group " A "\npeer beta 192.0.2.11\nkey " C), 0);
    shows(0, NULL, true, 10);
    shows(1, "beta", true, 10);
    assert_false(keyring_show(2, &key));
    now = 20;
    assert_int_equal(reads("group " A "\ngroup " B "\npeer beta 192.0.2.11\nkey " C), 0);
    shows(0, NULL, true, 10);
    shows(1, NULL, false, 20);
    shows(2, "beta", true, 10);
    now = 30;
    assert_int_equal(reads("group " B "\ngroup " A "\npeer gamma 192.0.2.12\nkey " C), 0);
    shows(0, NULL, true, 30);
    shows(1, NULL, false, 30);
    assert_true(keyring_show(0, &key) && keyring_show(1, &other));
    assert_string_not_equal(key.id, other.id);
    assert_true(keyring_show(2, &key));
    assert_string_equal(key.host, "192.0.2.12");
    assert_string_equal(keyring_name(), "alpha");
    now = 40;
    assert_int_equal(keyring_read("group " B, strlen("group " B), keyring_name(), now, &fault), 0);
    shows(0, NULL, true, 30);
    assert_false(keyring_show(1, &key));
    assert_string_equal(keyring_name(), "alpha");
    assert_null(rights_get(0));
    now = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_key),        cmocka_unit_test(test_two_keys),   cmocka_unit_test(test_tags),
        cmocka_unit_test(test_whom_it_is_for), cmocka_unit_test(test_identities), cmocka_unit_test(test_peers),
        cmocka_unit_test(test_faults),         cmocka_unit_test(test_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

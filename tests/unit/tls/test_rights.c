/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tls/rights.c config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: tests/unit/stubs.c */
/* What the keyring says of peers, and what that lets them do. */
#include "tls/rights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"

#define BETA "beta@192.0.2.11:50000"

static struct rights_table table;

/* Lines with \n between them. Returns what is wrong with the first wrong one, or NULL. */
static const char *reads(const char *lines)
{
    char *copy = strdup(lines), *rest = copy, *line;
    const char *wrong = NULL;

    table = (struct rights_table){ 0 };
    rights_use(&table);
    while (!wrong && (line = strsep(&rest, "\n"))) {
        char *word = strsep(&line, " ");

        wrong = rights_line(&table, word, line);
    }
    free(copy);
    return wrong;
}

static bool may(const char *peer, const char *guest, u64 bytes, unsigned moves)
{
    char words[RIGHTS_WORDS] = "";
    bool right = rights_judge(peer, guest, bytes, moves, words);

    assert_int_equal(right, !words[0]);
    return right;
}

static void test_what_they_may(void **state)
{
    (void)state;
    assert_null(reads("peer beta 192.0.2.11\nallow db1 web*\nmemory 2G\nmoves 2\npeer gamma 192.0.2.12\nmoves 1\n"
                      "peer delta 192.0.2.13\nmemory 64M\npeer epsilon 192.0.2.14\nallow *"));
    assert_true(may(BETA, "db1", GiB(2), 2));
    assert_true(may(BETA, "web", 0, 1));
    assert_true(may(BETA, "web-3", 0, 1));
    assert_false(may(BETA, "db", 0, 1));
    assert_false(may(BETA, "db12", 0, 1));
    assert_false(may(BETA, "xweb", 0, 1));
    assert_false(may(BETA, "db1", GiB(2) + 1, 1));
    assert_false(may(BETA, "db1", 0, 3));
    assert_true(may("gamma@192.0.2.12:1", "db", GiB(900), 1));
    assert_false(may("gamma@192.0.2.12:1", "db", 0, 2));
    assert_true(may("delta@192.0.2.13:1", "db", 64 << 20, 100));
    assert_false(may("delta@192.0.2.13:1", "db", (64 << 20) + 1, 1));
    assert_true(may("epsilon@192.0.2.14:1", "anything", 0, 1));
}

/* Connections from before the keyring named peers, or named others: they bring nothing. */
static void test_who_is_no_peer_any_more(void **state)
{
    char words[RIGHTS_WORDS];

    (void)state;
    assert_null(reads("peer gamma 192.0.2.12"));
    assert_true(may("gamma@192.0.2.12:1", "db", GiB(900), 100));
    assert_false(may(BETA, "db", 0, 1));
    assert_false(may("192.0.2.11:50000", "db", 0, 1));
    assert_true(may("an image", "db", GiB(900), 100)); /* which an operator restores */
    assert_false(rights_judge(BETA, "db", 0, 1, words));
    assert_string_equal(words, "who is no peer any more may not bring a guest of this name here: see allow");
    table = (struct rights_table){ 0 };
    assert_true(may(BETA, "db", GiB(900), 100));
    assert_true(may("192.0.2.11:50000", "db", GiB(900), 100));
}

static bool reaches(const char *host, const char *why)
{
    char words[RIGHTS_WORDS] = "";
    bool right = rights_reach(host, words);

    assert_string_equal(words, right ? "" : why);
    return right;
}

/* Where there are peers this hypervisor connects to them alone. */
static void test_whom_we_reach(void **state)
{
    (void)state;
    table = (struct rights_table){ 0 };
    rights_use(&table);
    assert_true(reaches("192.0.2.11", NULL));
    assert_null(reads("peer beta 192.0.2.11\npeer gamma 192.0.2.12"));
    assert_true(reaches("192.0.2.11", NULL));
    assert_true(reaches("192.0.2.12", NULL));
    assert_false(
        reaches("192.0.2.1", "192.0.2.1 is no peer of this host, expected peer NAME 192.0.2.1 in its keyring"));
    assert_false(
        reaches("fd09::2", "fd09::2 is no peer of this host, expected peer NAME and an IPv4 address in its keyring"));
}

static void test_whose_guests(void **state)
{
    (void)state;
    assert_null(reads("peer beta 192.0.2.11\nallow db1 web*\npeer gamma 192.0.2.12"));
    assert_ptr_equal(rights_of_peer(BETA), rights_get(0));
    assert_true(rights_allow(rights_get(0), "db1"));
    assert_true(rights_allow(rights_get(0), "web-3"));
    assert_false(rights_allow(rights_get(0), "db"));
    assert_true(rights_allow(rights_get(1), "db"));
    assert_true(rights_allow(NULL, "db"));
}

static void test_who_they_are(void **state)
{
    (void)state;
    assert_null(reads("peer beta 192.0.2.11\npeer gamma 192.0.2.12"));
    assert_ptr_equal(rights_of_name("beta", 4), rights_get(0));
    assert_ptr_equal(rights_of_host("192.0.2.12"), rights_get(1));
    assert_null(rights_of_name("bet", 3));
    assert_null(rights_of_name("betas", 5));
    assert_null(rights_of_host("192.0.2.1"));
    assert_null(rights_get(2));
    rights_use(&(struct rights_table){ 0 });
    assert_null(rights_get(0));
    assert_null(rights_of_name("beta", 4));
}

#define PEER "peer beta 192.0.2.11\n"

static void test_faults(void **state)
{
    static const char *const wrong[] = {
        "peer",
        "peer beta",
        "peer beta 192.0.2",
        "peer beta 192.0.2.11:4900",
        "peer beta 192.0.2.11 x",
        "peer -beta 192.0.2.11",
        "peer group*  192.0.2.11",
        "peer 01234567890123456789012345678901 192.0.2.11",
        "allow web",
        "memory 1G",
        "moves 1",
        "nonsense",
        PEER "nonsense 5",
        PEER "allow",
        PEER "allow web**",
        PEER "allow *web",
        PEER "allow web/",
        PEER "allow 01234567890123456789012345678901",
        PEER "allow a\nallow b",
        PEER "allow a b c d e f g h i",
        PEER "memory",
        PEER "memory 1",
        PEER "memory 1K",
        PEER "memory 1GG",
        PEER "memory 0M",
        PEER "memory -1G",
        PEER "memory 1G 1G",
        PEER "memory 1G\nmemory 1G",
        PEER "memory G",
        PEER "memory 99999999G",
        PEER "moves",
        PEER "moves 0",
        PEER "moves 1M",
        PEER "moves two",
        PEER "moves 1\nmoves 2",
        PEER "peer beta 192.0.2.12",
        PEER "peer gamma 192.0.2.11",
        PEER "peer gamma 192.0.2.011",
    };
    char lines[400] = "";

    (void)state;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const char *words = reads(wrong[i]);

        if (!words)
            fail_msg("taken: %s", wrong[i]);
    }
    for (unsigned i = 0; i < RIGHTS_PEERS; i++)
        snprintf(lines + strlen(lines), sizeof(lines) - strlen(lines), "%speer p%u 192.0.2.%u", i ? "\n" : "", i,
                 i + 1);
    assert_null(reads(lines));
    strcat(lines, "\npeer more 192.0.2.100");
    assert_string_equal(reads(lines), "too many peers, expected at most 8");
}

static bool is_11(const u8 *address)
{
    return !memcmp(address, (const u8[]){ 192, 0, 2, 11 }, 4);
}

static void test_own_address(void **state)
{
    (void)state;
    rights_own(is_11);
    assert_string_equal(reads("peer gamma 192.0.2.12\n" PEER), "this is our own address, expected that of the peer");
    assert_null(reads("peer gamma 192.0.2.12"));
    rights_own(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_they_may),
        cmocka_unit_test(test_whom_we_reach),
        cmocka_unit_test(test_whose_guests),
        cmocka_unit_test(test_who_they_are),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_own_address),
        cmocka_unit_test(test_who_is_no_peer_any_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What is in the clear says so: `insecure` of [migration], [api] and [witness] in godwit.cfg. */
/* sources: config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

#define KEYS "[keys]\nname = a\nkeyring = k\n"
#define WITNESS "[witness]\nurl = http://192.0.2.9\n"
#define HTTPS "[witness]\nurl = https://192.0.2.9\nca = ca.pem\n"
#define API "[api]\ntokens = t\ncertificate = c\n"

static struct config config;
static struct config_error error;

static bool parse(const char *sections)
{
    char text[512];

    snprintf(text, sizeof(text), "[net]\naddress = 192.0.2.1/24\n%s", sections);
    return config_parse(text, strlen(text), &config, &error);
}

/* Each is about the whole file, names the section, and both ways out of it. */
static void what_must_say_so(void **state)
{
    static const struct {
        const char *sections, *key, *made_by, *said;
    } refused[] = {
        { "[migration]\n", "migration", "tools/mkkeys new", "or insecure = yes in [migration]" },
        { "[migration]\ninsecure = no\n", "migration", "a section [keys]", "or insecure = yes in [migration]" },
        { "[api]\n", "api", "certificate = FILE", "or insecure = yes in [api]" },
        { "[api]\ntokens = t\n", "api", "tools/mkkeys certificate", "or insecure = yes in [api]" },
        { "[api]\naccess = open\n", "api", "tools/mkkeys certificate", "or insecure = yes in [api]" },
        { "[api]\naccess = open\ncertificate = c\n", "api", "tools/mkkeys token", "or insecure = yes in [api]" },
        { WITNESS, "witness", "expected https:// in url, and ca = FILE", "or insecure = yes in [witness]" },
        { KEYS WITNESS, "witness", "docs/witness.md", "or insecure = yes in [witness]" },
        { "[migration]\n[api]\ntokens = t\ninsecure = yes\n", "migration", "docs/keys.md", "in [migration]" },
        { "[migration]\ninsecure = yes\n[api]\ntokens = t\n", "api", "docs/api.md", "in [api]" },
        { "[migration]\ninsecure = yes\n" KEYS, "insecure", "nothing in [migration] is", "insecure = no" },
        { "[api]\ntokens = t\ncertificate = c\ninsecure = yes\n", "insecure", "nothing in [api] is", "insecure = no" },
        { API HTTPS "insecure = yes\n", "insecure", "nothing in [witness] is", "insecure = no" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (parse(refused[i].sections))
            fail_msg("accepted: %s", refused[i].sections);
        assert_int_equal(error.line, 0);
        assert_string_equal(error.key, refused[i].key);
        if (!strstr(error.message, refused[i].made_by) || !strstr(error.message, refused[i].said))
            fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error.message, refused[i].made_by, refused[i].said);
        assert_true(strlen(error.message) < sizeof(error.message) - 1); /* not cut off */
    }
}

static void what_is_taken(void **state)
{
    static const struct {
        const char *sections;
        bool migration, api, witness; /* insecure */
    } taken[] = {
        { "[migration]\n" KEYS, false, false, false },
        { "[migration]\ninsecure = no\n" KEYS, false, false, false },
        { "[migration]\ninsecure = yes\n", true, false, false },
        { "[api]\ntokens = t\ncertificate = c\n", false, false, false },
        { "[api]\ntokens = t\ninsecure = yes\n", false, true, false },
        { "[api]\naccess = open\ninsecure = yes\n", false, true, false },
        { "[api]\naccess = open\ncertificate = c\ninsecure = yes\n", false, true, false },
        { WITNESS "insecure = yes\n", false, false, true },
        { "[migration]\n" KEYS WITNESS "insecure = yes\n", false, false, true },
        { API HTTPS, false, false, false },
        { KEYS, false, false, false },
        { "", false, false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (!parse(taken[i].sections))
            fail_msg("%s: %s: refused: %s", error.key, error.message, taken[i].sections);
        assert_int_equal(config.migration.insecure, taken[i].migration);
        assert_int_equal(config.api.insecure, taken[i].api);
        assert_int_equal(config.witness.insecure, taken[i].witness);
    }
}

/* It can't be changed while the hypervisor runs. */
static void not_later(void **state)
{
    (void)state;
    assert_true(parse("[migration]\n" KEYS));
    assert_false(config_migration_set(&config.migration, "insecure", "yes", &error));
    assert_false(config.migration.insecure);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_must_say_so),
        cmocka_unit_test(what_is_taken),
        cmocka_unit_test(not_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

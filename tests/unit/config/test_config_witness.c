/* SPDX-License-Identifier: BSD-2-Clause */
/* The sections [witness] and [keys] of godwit.cfg, and what it takes to protect a guest. */
/* sources: config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

#define PLACE "[net]\naddress = 192.0.2.1/24\n[witness]\n"

static struct config config;
static struct config_error error;

/* In a heap block of exactly its length, for the sanitizer. */
static bool parse(const char *text, size_t len)
{
    char *copy = malloc(len);
    bool ok;

    assert_non_null(copy);
    memcpy(copy, text, len);
    ok = config_parse(copy, len, &config, &error);
    free(copy);
    return ok;
}

static void members(void **state)
{
    static const char text[] =
        "[net]\naddress = 192.0.2.1/24\n[witness]\nurl = http://192.0.2.9 http://[2001:db8::9]:80  http://[fd09::9] "
        "http://192.0.2.9:1 http://192.0.2.9:65535\ninsecure = yes\n[vm a]\nkernel = k\n";
    static const char slow[] = "[net]\naddress = 192.0.2.1/24\n[witness]\nurl = http://192.0.2.9\ntimeout = 10000\n"
                               "insecure = yes\n";
    static const char secure[] = PLACE "url = https://192.0.2.9 https://[2001:db8::9]:80\nca = ca.pem\n"
                                       "[api]\ntokens = t\ncertificate = c\n";
    static const char without[] = "[net]\n";
    static const uint8_t first[] = { 192, 0, 2, 9 };
    static const uint8_t second[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 9 };
    const struct config_server *url = config.witness.url;

    (void)state;
    assert_true(parse(text, strlen(text)));
    assert_true(config.witness.present && !url[0].ip6 && url[1].ip6 && url[2].ip6);
    assert_memory_equal(url[0].bytes, first, sizeof(first));
    assert_memory_equal(url[1].bytes, second, sizeof(second));
    assert_int_equal(url[0].port, CONFIG_WITNESS_PORT);
    assert_int_equal(url[1].port, 80);
    assert_int_equal(url[2].port, CONFIG_WITNESS_PORT);
    assert_int_equal(url[CONFIG_WITNESSES - 1].port, 65535);
    assert_int_equal(config.witness.timeout, 300);
    assert_false(url[0].https);
    assert_true(parse(secure, strlen(secure)));
    assert_true(url[0].https && url[1].https && url[1].ip6);
    assert_memory_equal(url[0].bytes, first, sizeof(first));
    assert_int_equal(url[0].port, CONFIG_WITNESS_PORT);
    assert_int_equal(url[1].port, 80);
    assert_string_equal(config.witness.ca, "ca.pem");
    assert_true(parse(slow, strlen(slow)));
    assert_int_equal(config.witness.timeout, 10000);
    assert_true(parse(without, strlen(without)));
    assert_false(config.witness.present);
}

static void refusals(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *key, *says;
    } refused[] = {
        { "[net]\n[witness]\n", 0, "url", "missing in section [witness], expected url = https://ADDRESS:PORT" },
        { "[vm a]\nkernel = k\n[witness]\nurl = http://192.0.2.9\n", 0, "witness",
          "expected address = ADDRESS/LENGTH in [net]" },
        { "[net]\naddress = dhcp\n[witness]\nurl = http://192.0.2.9\n", 0, "witness", "it goes by addresses" },
        { "[net]\n[witness]\n[witness]\n", 3, "witness", "a second [witness] section" },
        { "[net]\n[witness]\nurl =\n", 3, "url", "1 to 5 URLs of one etcd's members" },
        { "[net]\n[witness]\nurl = 192.0.2.9:2379\n", 3, "url", "such as https://192.0.2.9:2379" },
        { "[net]\n[witness]\nurl = https://\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = https:192.0.2.9\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = HTTPS://192.0.2.9\n", 3, "url", "is wrong" },
        { PLACE "url = http://192.0.2.9 https://192.0.2.10\n", 0, "url", "expected https://" },
        { PLACE "url = https://192.0.2.9 http://192.0.2.9\nca = f\n", 0, "url", "expected https://" },
        { PLACE "url = https://192.0.2.9\n[api]\ncertificate = c\n", 0, "ca", "expected ca = FILE" },
        { PLACE "url = http://192.0.2.9\nca = f\ninsecure = yes\n", 0, "ca", "expected https:// in url" },
        { PLACE "url = https://192.0.2.9\nca = f\n", 0, "certificate", "expected certificate = FILE there" },
        { PLACE "url = https://192.0.2.9\nca = f\n[api]\ntokens = t\ninsecure = yes\n", 0, "certificate",
          "missing in section [api]" },
        { "[net]\n[witness]\nurl = http://\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = http://witness:2379\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = http://192.0.2.9:2379/\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = http://127.0.0.1:2379\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = http://[fd09::9]2379\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = http://[fd09::9\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = http://[]:2379\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = http://[::1]\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = http://[ff02::1]\n", 3, "url", "is wrong" },
        { "[net]\n[witness]\nurl = http://192.0.2.9 http://192.0.2.9:2379\n", 3, "url", "no two the same" },
        { "[net]\n[witness]\nurl = http://192.0.2.9\ntimeout = 49\n", 4, "timeout", "milliseconds from 50 to 10000" },
        { "[net]\n[witness]\nurl = http://1.0.0.1 http://1.0.0.2 http://1.0.0.3 "
          "http://1.0.0.4 http://1.0.0.5 http://1.0.0.6\n",
          3, "url", "1 to 5 URLs" },
        { "[net]\n[witness]\nkey = x\n", 3, "key", "expected url, timeout, ca or insecure in the [witness] section" },
        { "[net]\n[keys]\nname = a\n", 0, "keys", "keyring = FILE" },
        { "[net]\n[keys]\nkeyring = k\n", 0, "keys", "name = NAME" },
        { "[net]\n[keys]\nname = -a\nkeyring = k\n", 0, "keys", "name = NAME" },
        { "[net]\n[keys]\n[keys]\n", 3, "keys", "a second [keys] section" },
        { "[net]\naddress=192.0.2.1/24\n[vm a]\nkernel = k\nmac = 52:54:00:12:34:56\nprotect = 192.0.2.2\n", 6,
          "protect", "expected such a section, too" },
        { "[net]\n[migration]\n[vm a]\nkernel = k\nprotect = 192.0.2.2\nmac = 52:54:00:12:34:56\n", 5, "protect",
          "expected address = ADDRESS/LENGTH in [net]" },
        { "[net]\naddress=192.0.2.1/24\n[migration]\n[vm a]\nkernel = k\nprotect = 192.0.2.2\n[vm b]\nkernel=k\n", 6,
          "protect", "expected a mac, too" },
        { "[net]\naddress=192.0.2.1/24\n[migration]\n[vm a]\nkernel=k\nmac = 52:54:00:12:34:56\nprotect = 192.0.2.2\n"
          "autostart = yes\n",
          7, "protect", "expected ask or no" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (parse(refused[i].text, strlen(refused[i].text)))
            fail_msg("accepted: %s", refused[i].text);
        assert_int_equal(error.line, refused[i].line);
        assert_string_equal(error.key, refused[i].key);
        if (!strstr(error.message, refused[i].says))
            fail_msg("\"%s\" does not say \"%s\"", error.message, refused[i].says);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),
        cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

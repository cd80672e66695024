/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of godwit.cfg: what it accepts, what it says when it refuses, and that no text makes it read or write
 * out of bounds (each text is parsed in a heap block of exactly its length, under the sanitizers).
 */
/* sources: config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

static struct config config;
static struct config_error error;

static const char good[] = "# two guests\n"
                           "hypervisor = boot/godwit.elf   # relative to the volume\n"
                           "log=debug\nexit = halt\ncpus = 2\n\n"
                           "[vm first]\n"
                           "kernel = \"guests/my kernel\"\n"
                           "initrd = initrd.img\n"
                           "cmdline = console=ttyS0 root=LABEL=a#b quiet # the console\n"
                           "memory = 1G\nvcpus = 8\n"
                           "mac = 52:54:00:Ab:cD:0f\n"
                           "uuid = 1b4e28ba-2FA1-11d2-883f-0016d3cca427\n"
                           "initrd-sha256 = 000102030405060708090a0b0c0d0e0f101112131415161718191A1b1c1d1e1f\n"
                           "autostart = no\n"
                           "[ vm second-2.x ] # all defaults\n"
                           "\tkernel\t=\thello.elf\t\n"
                           "cmdline = \"a # b\" # c\n";

static bool parse(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    bool ok;

    assert_non_null(copy);
    memcpy(copy, text, len);
    memset(&error, 0xa5, sizeof(error));
    ok = config_parse(copy, len, &config, &error);
    free(copy);
    if (!ok) {
        assert_non_null(memchr(error.key, 0, sizeof(error.key)));
        assert_non_null(memchr(error.message, 0, sizeof(error.message)));
        assert_string_not_equal(error.message, "");
    }
    return ok;
}

static void check_good(void)
{
    assert_string_equal(config.hypervisor, "boot/godwit.elf");
    assert_int_equal(config.log, CONFIG_LOG_DEBUG);
    assert_int_equal(config.exit, CONFIG_EXIT_HALT);
    assert_int_equal(config.cpus, 2);
    assert_int_equal(config.nr_vms, 2);
    assert_string_equal(config.vm[0].name, "first");
    assert_string_equal(config.vm[0].kernel, "guests/my kernel");
    assert_string_equal(config.vm[0].initrd, "initrd.img");
    assert_string_equal(config.vm[0].cmdline, "console=ttyS0 root=LABEL=a#b quiet");
    assert_int_equal(config.vm[0].memory, 1 << 30);
    assert_int_equal(config.vm[0].vcpus, 8);
    assert_int_equal(config.vm[0].line, 7);
    assert_memory_equal(config.vm[0].mac, ((uint8_t[]){ 0x52, 0x54, 0x00, 0xAB, 0xCD, 0x0F }), CONFIG_MAC);
    assert_memory_equal(config.vm[0].uuid, "\x1b\x4e\x28\xba\x2f\xa1\x11\xd2\x88\x3f\x00\x16\xd3\xcc\xa4\x27",
                        CONFIG_UUID);
    assert_memory_equal(config.vm[1].uuid, ((uint8_t[CONFIG_UUID]){ 0 }), CONFIG_UUID);
    for (uint8_t i = 0; i < CONFIG_SHA256; i++)
        assert_true(config.vm[0].sha256[1][i] == i && !config.vm[0].sha256[0][i] && !config.vm[1].sha256[1][i]);
    assert_int_equal(config.vm[0].autostart, CONFIG_AUTOSTART_NO);
    assert_int_equal(config.vm[1].autostart, CONFIG_AUTOSTART_ASK);
    assert_memory_equal(config.vm[1].mac, ((uint8_t[CONFIG_MAC]){ 0 }), CONFIG_MAC);
    assert_string_equal(config.vm[1].name, "second-2.x");
    assert_string_equal(config.vm[1].kernel, "hello.elf");
    assert_string_equal(config.vm[1].initrd, "");
    assert_string_equal(config.vm[1].cmdline, "a # b");
    assert_int_equal(config.vm[1].memory, 64 << 20);
    assert_int_equal(config.vm[1].vcpus, 1);
}

static void a_good_file(void **state)
{
    (void)state;
    assert_true(parse(good, strlen(good)));
    check_good();
}

static void defaults(void **state)
{
    static const char text[] = "[vm a]\nkernel = k";

    (void)state;
    assert_true(parse(text, strlen(text))); /* and the last line may lack its newline */
    assert_string_equal(config.hypervisor, "godwit.elf");
    assert_int_equal(config.log, CONFIG_LOG_INFO);
    assert_int_equal(config.exit, CONFIG_EXIT_AUTO);
    assert_int_equal(config.monitor, CONFIG_ACCESS_OPEN);
    assert_int_equal(config.cpus, 0);
    assert_string_equal(config.vm[0].kernel, "k");
}

static void windows_line_ends_and_byte_order_mark(void **state)
{
    char text[2 * sizeof(good)] = "\xef\xbb\xbf";
    size_t len = 3;

    (void)state;
    for (const char *c = good; *c; c++) {
        if (*c == '\n')
            text[len++] = '\r';
        text[len++] = *c;
    }
    assert_true(parse(text, len));
    check_good();
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } table[] = {
        { "1M", 1 << 20 },      { "1048576", 1 << 20 }, { "1028K", 1028 << 10 },
        { "64G", 64ULL << 30 }, { "7g", 7ULL << 30 },
    };
    char text[100];

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_true(parse(text, (size_t)snprintf(text, sizeof(text), "[vm a]\nkernel=k\nmemory=%s", table[i].text)));
        assert_int_equal(config.vm[0].memory, table[i].bytes);
    }
}

/* The whole of [net], between machines; keys after it belong to no machine. */
static void the_net_section(void **state)
{
    static const char text[] =
        "[vm a]\nkernel = k\n[net] # ours\naddress = 192.0.2.10/24\ngateway = 192.0.2.1\n"
        "address6 = 2001:db8::A:10/64\nuplink = virtio\nmac = 52:54:00:aB:cd:ef\n"
        "storm-limit = 500\nanti-spoof = yes\ntest-services = yes\nsyslog = 192.0.2.5:5514\n[vm b]\nkernel = k\n";
    static const uint8_t address[4] = { 192, 0, 2, 10 }, gateway[4] = { 192, 0, 2, 1 }, server[4] = { 192, 0, 2, 5 };
    static const uint8_t address6[16] = { 0x20, 0x01, 0x0d, 0xb8, [13] = 0x0a, [15] = 0x10 };
    static const uint8_t mac[6] = { 0x52, 0x54, 0, 0xab, 0xcd, 0xef };

    (void)state;
    assert_true(parse(text, strlen(text)));
    assert_int_equal(config.nr_vms, 2);
    assert_int_equal(config.net.present, 1);
    assert_memory_equal(config.net.address.bytes, address, 4);
    assert_int_equal(config.net.address.prefix, 24);
    assert_memory_equal(config.net.gateway.bytes, gateway, 4);
    assert_int_equal(config.net.gateway.prefix, 32);
    assert_memory_equal(config.net.address6.bytes, address6, 16);
    assert_int_equal(config.net.address6.prefix, 64);
    assert_int_equal(config.net.uplink, CONFIG_UPLINK_VIRTIO);
    assert_memory_equal(config.net.mac, mac, 6);
    assert_int_equal(config.net.storm_limit, 500);
    assert_int_equal(config.net.anti_spoof, 1);
    assert_int_equal(config.net.test_services, 1);
    assert_memory_equal(config.net.syslog.bytes, server, 4);
    assert_int_equal(config.net.syslog.port, 5514);
    assert_true(parse("[net]\nsyslog = 192.0.2.5\n", 25));
    assert_memory_equal(config.net.syslog.bytes, server, 4);
    assert_int_equal(config.net.syslog.port, 514);
}

/* A hypervisor without guests is worth having if it can be reached. */
static void the_net_section_alone(void **state)
{
    (void)state;
    assert_true(parse("[net]\n", 6));
    assert_int_equal(config.nr_vms, 0);
    assert_int_equal(config.net.present, 1);
    assert_int_equal(config.net.address.prefix, 0); /* DHCP */
    assert_int_equal(config.net.gateway.prefix, 0);
    assert_int_equal(config.net.uplink, CONFIG_UPLINK_AUTO);
    assert_int_equal(config.net.storm_limit, CONFIG_STORM_LIMIT);
    assert_int_equal(config.net.anti_spoof, 0);
    assert_int_equal(config.net.test_services, 0);
    assert_int_equal(config.net.syslog.port, 0);
    assert_true(parse(good, strlen(good)));
    assert_int_equal(config.net.present, 0);
}

/* Every way of writing zeros in an IPv6 address. */
static void ip6_addresses(void **state)
{
    static const struct {
        const char *text;
        uint8_t bytes[16];
    } table[] = {
        { "::", { 0 } },
        { "::1", { [15] = 1 } },
        { "fe80::", { 0xfe, 0x80 } },
        { "1:2:3:4:5:6:7:8", { 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8 } },
        { "1::8", { 0, 1, [15] = 8 } },
        { "::2:3:4:5:6:7:8", { 0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8 } },
        { "1:2:3:4:5:6:7::", { 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7 } },
    };
    char text[100];

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_true(parse(text, (size_t)snprintf(text, sizeof(text), "[net]\naddress6 = %s/1", table[i].text)));
        assert_memory_equal(config.net.address6.bytes, table[i].bytes, 16);
    }
}

/* Every refusal names the line and the key, and says what would be right. */
static const struct {
    const char *text;
    unsigned line;
    const char *key, *says;
} refused[] = {
    { "", 0, "vm", "expected a section [vm NAME]" },
    { "# nothing\n", 0, "vm", "no virtual machine" },
    { "log = info\nkernel = a\n", 2, "kernel", "expected hypervisor, log, exit, cpus or monitor before the first" },
    { "[vm a]\nmem = 1M\n", 2, "mem",
      "expected kernel, initrd, kernel-sha256, initrd-sha256, cmdline, memory, vcpus, mac, uuid, autostart, on-crash, "
      "dirty-log, dirty-split, dirty-check, protect, protect-interval or dirty-drop in a [vm] section" },
    { "log = loud\n[vm a]\nkernel=k\n", 1, "log", "\"loud\" is wrong, expected err, warn, info or debug" },
    { "log = inf\n", 1, "log", "expected err" },
    { "log =\n", 1, "log", "\"\" is wrong" },
    { "exit = now\n", 1, "exit", "expected auto or halt" },
    { "cpus = 65\n", 1, "cpus", "expected a number from 0 (all) to 64" },
    { "cpus = -1\n", 1, "cpus", "expected a number" },
    { "cpus = 1K\n", 1, "cpus", "expected a number" },
    { "cpus = 1\ncpus = 1\n", 2, "cpus", "given twice" },
    { "[vm a]\nkernel=k\nkernel=k\n", 3, "kernel", "given twice, expected once in a section" },
    { "[vm a]\nkernel=k\nmemory=4095K\n", 3, "memory", "multiple of 4K" },
    { "[vm a]\nkernel=k\nmemory=1023K\n", 3, "memory", "from 1M to 64G" },
    { "[vm a]\nkernel=k\nmemory=65G\n", 3, "memory", "from 1M to 64G" },
    { "[vm a]\nkernel=k\nmemory=18446744073710600192\n", 3, "memory", "from 1M to 64G" },
    { "[vm a]\nkernel=k\nmemory=17179869185G\n", 3, "memory", "from 1M to 64G" },
    { "[vm a]\nkernel=k\nmemory=M\n", 3, "memory", "\"M\" is wrong" },
    { "[vm a]\nkernel=k\nmemory=64MB\n", 3, "memory", "such as 256M" },
    { "[vm a]\nkernel=k\nmemory=1048577\n", 3, "memory", "multiple of 4K" },
    { "[vm a]\nkernel=k\nvcpus=0\n", 3, "vcpus", "a number from 1 to 8" },
    { "[vm a]\nkernel=k\nvcpus=9\n", 3, "vcpus", "a number from 1 to 8" },
    { "[vm a]\nkernel=k\nuuid=1b4e28ba2fa111d2883f0016d3cca42\n", 3, "uuid", "32 hexadecimal digits" },
    { "[vm a]\nkernel=k\nuuid=1b4e28ba2fa111d2883f0016d3cca4270\n", 3, "uuid", "is wrong" },
    { "[vm a]\nkernel=k\nuuid=1b4e28ba2fa111d2883f0016d3cca42g\n", 3, "uuid", "is wrong" },
    { "[vm a]\nkernel=k\nuuid=00000000-0000-0000-0000-000000000000\n", 3, "uuid", "digits, not all 0," },
    { "[vm a]\nkernel=k\nkernel-sha256=12\n", 3, "kernel-sha256", "expected 64 hexadecimal digits, as sha256sum" },
    { "[vm a]\nkernel=k\nautostart=maybe\n", 3, "autostart", "ask, yes or no" },
    { "[vm a]\nkernel=k\nmac=52:54:00:12:34\n", 3, "mac", "an address of one card, such as" },
    { "[vm a]\nkernel=k\nmac=52:54:00:12:34:5g\n", 3, "mac", "an address of one card" },
    { "[vm a]\nkernel=k\nmac=52-54-00-12-34-56\n", 3, "mac", "an address of one card" },
    { "[vm a]\nkernel=k\nmac=53:54:00:12:34:56\n", 3, "mac", "an address of one card" },
    { "[vm a]\nkernel=k\nmac=00:00:00:00:00:00\n", 3, "mac", "an address of one card" },
    { "[vm a]\nkernel=/k\n", 2, "kernel", "the path of a file on the boot volume" },
    { "[vm a]\nkernel=../k\n", 2, "kernel", "the path" },
    { "[vm a]\nkernel=b\\k\n", 2, "kernel", "the path" },
    { "[vm a]\nkernel=\n", 2, "kernel", "\"\" is wrong" },
    { "[vm a]\n\n[vm b]\nkernel=k\n", 1, "kernel", "missing in section [vm a], expected kernel = FILE" },
    { "[vm a]\nkernel=k\n[vm a]\nkernel=k\n", 3, "a", "names must differ" },
    { "[vm]\n", 1, "[vm]", "expected [vm NAME]" },
    { "[vm a\n", 1, "[vm a", "expected [vm NAME]" },
    { "[disk a] # x\n", 1, "[disk a]", "expected [vm NAME]" },
    { "[vm my vm]\n", 1, "[vm my vm]", "expected [vm NAME]" },
    { "[vm g\xc3\xa4st\xc3\xa9]\n", 1, "[vm g??st??]", "ASCII letters, digits" }, /* a name of UTF-8 */
    { "[vm a123456789012345678901234567890x]\n", 1, "[vm a12345678901234567890123456", "at most 31" },
    { "[vm a] x\n", 1, "[vm a]", "only a # comment" },
    { "kernel\n", 1, "kernel", "expected key = value, [vm NAME], [net], [api], [migration], [witness], [keys] or #" },
    { "= 1\n", 1, "", "expected key = value" },
    { "log info\n", 1, "log", "expected key = value" },
    { "\xff\xfe#\n", 1, "", "expected key = value" },
    { "[vm a]\ncmdline = \"open\n", 2, "cmdline", "closing \" is missing" },
    { "[vm a]\ncmdline = \"a\" b\n", 2, "cmdline", "only a # comment may follow" },
    { "[vm a]\ncmdline = a\x01\n", 2, "cmdline", "printable ASCII" },
    { "[vm a]\ncmdline = caf\xc3\xa9\n", 2, "cmdline", "printable ASCII" },
    { "[net]\naddress = 1.2.3.4\n", 2, "address", "expected dhcp or an address with its prefix length" },
    { "[net]\naddress = 1.2.3.256/24\n", 2, "address", "\"1.2.3.256/24\" is wrong" },
    { "[net]\naddress = 1.2.3/24\n", 2, "address", "is wrong" },
    { "[net]\naddress = 1.2.3.4.5/24\n", 2, "address", "is wrong" },
    { "[net]\naddress = 1.2.3.4/33\n", 2, "address", "is wrong" },
    { "[net]\naddress = 1.2.3.4/\n", 2, "address", "is wrong" },
    { "[net]\naddress = /24\n", 2, "address", "is wrong" },
    { "[net]\ngateway = 1.2.3.4/24\n", 2, "gateway", "expected an address" },
    { "[net]\ngateway = 1.2.3.4\n", 0, "gateway", "DHCP names the router, expected address = ADDRESS/LENGTH" },
    { "[net]\nsyslog = 1.2.3.4:0\n", 2, "syslog", "\"1.2.3.4:0\" is wrong, expected the address of a host" },
    { "[net]\nsyslog = 1.2.3.4:65536\n", 2, "syslog", "such as 192.0.2.5 or 192.0.2.5:5514" },
    { "[net]\nsyslog = 1.2.3.4:\n", 2, "syslog", "is wrong" },
    { "[net]\nsyslog = :514\n", 2, "syslog", "is wrong" },
    { "[net]\nsyslog = 1.2.3.4:5:6\n", 2, "syslog", "is wrong" },
    { "[net]\nsyslog = 127.0.0.1\n", 2, "syslog", "is wrong" },
    { "[net]\nsyslog = 224.0.0.1\n", 2, "syslog", "is wrong" },
    { "[net]\nsyslog = loghost\n", 2, "syslog", "is wrong" },
    { "[net]\naddress6 = fe80::1\n", 2, "address6", "2001:db8::10/64" },
    { "[net]\naddress6 = 1:2:3:4:5:6:7/64\n", 2, "address6", "is wrong" },
    { "[net]\naddress6 = 1:2:3:4:5:6:7:8:9/64\n", 2, "address6", "is wrong" },
    { "[net]\naddress6 = 1::2::3/64\n", 2, "address6", "is wrong" },
    { "[net]\naddress6 = 1:/64\n", 2, "address6", "is wrong" },
    { "[net]\naddress6 = 12345::/64\n", 2, "address6", "is wrong" },
    { "[vm a]\nkernel=k\nmac=02:00:00:00:00:01\n[vm b]\nkernel=k\nmac=02:00:00:00:00:01\n", 4, "mac",
      "the one of [vm b] is that of [vm a], too, expected another" },
    { "[vm a]\nkernel=k\nmac=02:00:00:00:00:01\n[net]\nmac=02:00:00:00:00:01\n", 1, "mac",
      "the one of [vm a] is that of [net], too, expected another" },
    { "[vm a]\nkernel=k\nuuid=1b4e28ba2fa111d2883f0016d3cca427\n"
      "[vm b]\nkernel=k\nuuid=1B4E28BA-2fa1-11d2-883f-0016d3cca427\n",
      4, "uuid", "the one of [vm b] is that of [vm a], too, expected another" },
    { "[vm a]\nkernel=k\n[api]\naccess=open\n", 0, "api", "expected a [net] section" },
    { "[vm a]\nkernel=k\n[api]\ntokens=t\n", 0, "api", "expected a [net] section" },
    { "[vm a]\nkernel=k\n[api]\n", 0, "api", "expected a [net] section" },
    { "monitor=token\n[net]\n[api]\naccess=open\n", 0, "monitor", "expected tokens = FILE in [api]" },
    { "[net]\n[api]\ntokens=t\naccess=open\n", 0, "access", "expected access = token, or no tokens" },
    { "[net]\n[api]\nport=4900\n[migration]\n", 0, "port", "the one of [api] is that of [migration], too" },
    { "[net]\ntest-services=yes\n[api]\nport=19\n", 0, "port", "those of test-services" },
    { "[net]\ntest-services=yes\n[migration]\nport=7\n", 0, "port", "those of test-services" },
    { "[vm a]\nkernel=k\ninitrd=k\n", 1, "initrd", "the file of [vm a] is its kernel, too, expected another" },
    { "[vm a]\nkernel=godwit.elf\n", 1, "kernel", "the file of [vm a] is the hypervisor, too" },
    { "hypervisor=h\n[vm a]\nkernel=k\ninitrd=h\n", 2, "initrd", "is the hypervisor, too" },
    { "[vm uplink]\nkernel=k\n", 1, "uplink", "a port of the switch has this name" },
    { "[vm godwit]\nkernel=k\n", 1, "godwit", "a port of the switch has this name" },
    { "[vm ..]\nkernel=k\n", 1, "..", "begins with an ASCII letter or a digit" },
    { "[vm -x]\nkernel=k\n", 1, "-x", "begins with an ASCII letter or a digit" },
    { "[net]\nmac = 01:00:5e:00:00:01\n", 2, "mac", "an address of one card" },
    { "[net]\nmac = 00:00:00:00:00:00\n", 2, "mac", "is wrong" },
    { "[net]\nmac = 52:54:00:12:34\n", 2, "mac", "is wrong" },
    { "[net]\nuplink = wifi\n", 2, "uplink", "auto, e1000, virtio or none" },
    { "[net]\nstorm-limit = 1000001\n", 2, "storm-limit", "from 0 (any) to 1000000" },
    { "[net]\nanti-spoof = 1\n", 2, "anti-spoof", "yes or no" },
    { "[net]\nkernel = k\n", 2, "kernel",
      "mac, storm-limit, anti-spoof, syslog or test-services in the [net] section" },
    { "[net]\n[net]\n", 2, "net", "a second [net] section" },
    { "[net]\n[migration]\nport = 0\n", 3, "port", "a number from 1 to 65535" },
    { "[net]\n[migration]\nimages = a ../b\n", 3, "images", "with blanks between them, no two the same" },
    { "[net]\naddress=192.0.2.1/24\n[migration]\npeers =\n", 4, "peers", "1 to 8 IPv4 addresses" },
    { "[net]\naddress=192.0.2.1/24\n[migration]\npeers = 192.0.2.2 192.0.2.3:0\n", 4, "peers", "is wrong" },
    { "[net]\naddress=192.0.2.1/24\n[migration]\npeers = 192.0.2.2:65536\n", 4, "peers", "is wrong" },
    { "[net]\naddress=192.0.2.1/24\n[migration]\npeers = 2001:db8::1\n", 4, "peers", "IPv4" },
    { "[net]\naddress=192.0.2.1/24\n[migration]\npeers = 192.0.2.2 192.0.2.2:4900\n", 4, "peers", "no two the same" },
    { "[net]\n[migration]\npeers = 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9\n", 3,
      "peers", "1 to 8" },
    { "[net]\n[migration]\npeers = 192.0.2.2\n", 0, "peers", "expected address = ADDRESS/LENGTH in [net]" },
    { "[net]\n[migration]\nimages = 1 2 3 4 5 6 7 8 9\n", 3, "images", "1 to 8 paths" },
    { "[net]\n[migration]\ndowntime-limit = 0\n", 3, "downtime-limit", "milliseconds from 1 to 60000" },
    { "[net]\n[migration]\nmax-bandwidth = 65G\n", 3, "max-bandwidth", "such as 100M" },
    { "[net]\n[migration]\nmax-bandwidth = 4095\n", 3, "max-bandwidth", "0 (any) or 4K to 64G" },
    { "[net]\n[migration]\nincoming-memory = 64K\n", 3, "incoming-memory", "or 1M to 1024G" },
    { "[net]\n[migration]\nincoming-memory=1G\nincoming-memory-per-host=2G\n", 0, "incoming-memory-per-host", "above" },
    { "[vm a]\nkernel = k\ndirty-log = loud\n", 3, "dirty-log", "off, write-protect, dbit, pml, each or guest" },
    { "[net]\n[migration]\ndirty-log = off\n", 3, "dirty-log", "auto, write-protect, dbit or pml" },
    { "[net]\n[migration]\nmax-rounds = 65\n", 3, "max-rounds", "a number from 1 to 64" },
    { "[net]\n[migration]\non-stall = wait\n", 3, "on-stall", "stop, abort, throttle, throttle-writers or postcopy" },
    { "[net]\n[migration]\nmax-cpu-throttle = 100\n", 3, "max-cpu-throttle", "percent from 1 to 99" },
    { "[net]\n[migration]\ncpu-throttle-initial = 0\n", 3, "cpu-throttle-initial", "percent from 1 to 99" },
    { "[net]\n[migration]\nannounce-initial = 0\n", 3, "announce-initial", "milliseconds from 1 to 100000" },
    { "[net]\n[migration]\nannounce-max = 1s\n", 3, "announce-max", "milliseconds from 1 to 100000" },
    { "[net]\n[migration]\nannounce-rounds = 1001\n", 3, "announce-rounds", "from 0 (none) to 1000" },
    { "[net]\n[migration]\nannounce-step = -1\n", 3, "announce-step", "milliseconds from 0 to 10000" },
    { "[net]\n[migration]\nrounds = 1\n", 3, "rounds", "announce-rounds or announce-step in the [migration] section" },
    { "[net]\n[migration]\n[migration]\n", 3, "migration", "a second [migration] section" },
    { "[migration]\n[vm a]\nkernel = k\n", 0, "migration", "expected a [net] section" },
    { "[net x]\n", 1, "[net x]", "expected [vm NAME], [net], [api], [migration], [witness], [keys]" },
    { "[net]\n[migration]\nimages = a b a\n", 3, "images", "no two the same" },
    { "log = infoinfoinfoinfoinfoinfoinfoinfoinfoinfoinfo\n", 1, "log", "...\" is wrong, expected err" },
};

static void migration(void **state)
{
    static const char plain[] = "[net]\n[migration]\ninsecure = yes\n";
    static const char full[] = "[net]\n[migration]\nport = 5000\ndowntime-limit = 300\nmax-bandwidth = 100M\n"
                               "dirty-log = pml\ndirty-split = eager\nmax-rounds = 64\non-stall = throttle\n"
                               "cpu-throttle-initial = 1\ncpu-throttle-increment = 99\nmax-cpu-throttle = 98\n"
                               "announce-initial = 1\nannounce-max = 100000\nannounce-rounds = 0\n"
                               "announce-step = 10000\nimages = guests/vmlinuz  2 3 4 5 6 7 8\n"
                               "hot-pages = each\nincoming-memory = 0\nincoming-memory-per-host = 3G\ninsecure=yes\n";

    (void)state;
    assert_true(parse("[net]\n", 6));
    assert_int_equal(config.migration.port, 0);
    assert_int_equal(config.migration.downtime_limit, CONFIG_DOWNTIME_LIMIT);
    assert_int_equal(config.migration.max_rounds, CONFIG_MAX_ROUNDS);
    assert_int_equal(config.migration.announce.rounds, 5);
    assert_true(parse(plain, strlen(plain)));
    assert_string_equal(config.migration.images[0], "");
    assert_int_equal(config.migration.port, CONFIG_MIGRATION_PORT);
    assert_int_equal(config.migration.dirty_log, CONFIG_DIRTY_OFF);
    assert_true(config.migration.on_stall == CONFIG_STALL_STOP && !config.migration.hot_each);
    assert_int_equal(config.migration.throttle.initial, 20);
    assert_int_equal(config.migration.throttle.increment, 10);
    assert_int_equal(config.migration.throttle.max, 99);
    assert_int_equal(config.migration.announce.initial, 50);
    assert_true(parse(full, strlen(full)));
    assert_int_equal(config.migration.port, 5000);
    assert_int_equal(config.migration.downtime_limit, 300);
    assert_int_equal(config.migration.max_bandwidth, 100 << 20);
    assert_int_equal(config.migration.incoming_memory, 0);
    assert_int_equal(config.migration.incoming_memory_per_host, 3ULL << 30);
    assert_int_equal(config.migration.dirty_log, CONFIG_DIRTY_PML);
    assert_int_equal(config.migration.dirty_split, CONFIG_DIRTY_EAGER);
    assert_int_equal(config.migration.max_rounds, 64);
    assert_true(config.migration.on_stall == CONFIG_STALL_THROTTLE && config.migration.hot_each);
    assert_int_equal(config.migration.throttle.initial, 1);
    assert_int_equal(config.migration.throttle.increment, 99);
    assert_int_equal(config.migration.throttle.max, 98);
    assert_string_equal(config.migration.images[0], "guests/vmlinuz");
    assert_string_equal(config.migration.images[CONFIG_IMAGES - 1], "8");
    assert_int_equal(config.migration.announce.initial, 1);
    assert_int_equal(config.migration.announce.max, 100000);
    assert_int_equal(config.migration.announce.rounds, 0);
    assert_int_equal(config.migration.announce.step, 10000);
}

static void peers(void **state)
{
    static const char some[] = "[net]\naddress=1.1.1.9/8\n[migration]\ninsecure=yes\npeers=1.1.1.1  198.51.100.3:5000";
    static const char all[] = "[net]\naddress = 192.0.2.1/24\n[migration]\npeers = 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 "
                              "1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.7:65535\ninsecure = yes\n";
    static const uint8_t second[] = { 198, 51, 100, 3 };
    const struct config_server *peer = config.migration.peers;

    (void)state;
    assert_true(parse(some, strlen(some)));
    assert_int_equal(peer[0].port, CONFIG_MIGRATION_PORT);
    assert_int_equal(peer[1].port, 5000);
    assert_memory_equal(peer[1].bytes, second, sizeof(second));
    assert_int_equal(peer[2].port, 0);
    assert_true(parse(all, strlen(all)));
    assert_int_equal(peer[CONFIG_PEERS - 1].port, 65535);
}

static void refusals(void **state)
{
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

/* What is right beside what is refused. */
static void neighbours_of_refusals(void **state)
{
    static const char *const texts[] = {
        "[vm a-b_c.9]\nkernel=k\n[vm uplink2]\nkernel=k\n[vm 0]\nkernel=k\n",
        "[net]\n[api]\naccess=open\nport=7\ninsecure=yes\n[migration]\ninsecure=yes\n",
        "monitor=token\n[net]\n[api]\ntokens=t\ncertificate=c\n",
        "[net]\ntest-services=yes\n[api]\ntokens=t\naccess=token\ninsecure=yes\n[migration]\ninsecure=yes\n",
        "[net]\n[migration]\nincoming-memory = 1G\nincoming-memory-per-host = 1G\ninsecure = yes\n",
        "[net]\n[migration]\nincoming-memory-per-host = 1G\ninsecure = yes\n",
        "[vm a]\nkernel=k\ninitrd=i\n[vm b]\nkernel=k\ninitrd=i\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!parse(texts[i], strlen(texts[i])))
            fail_msg("%s: %s: refused: %s", error.key, error.message, texts[i]);
}

static void nul_bytes(void **state)
{
    static const char in_value[] = "[vm a]\nkernel = a\0b\n", in_key[] = "[vm a]\nker\0nel = a\n";

    (void)state;
    assert_false(parse(in_value, sizeof(in_value) - 1));
    assert_int_equal(error.line, 2);
    assert_false(parse(in_key, sizeof(in_key) - 1));
    assert_false(parse("\0", 1));
}

/* A text of the pattern, repeated n times, between head and tail. */
static size_t repeat(char *text, const char *head, const char *pattern, size_t n, const char *tail)
{
    char *end = stpcpy(text, head);

    while (n--)
        end = stpcpy(end, pattern);
    return (size_t)(stpcpy(end, tail) - text);
}

static void limits(void **state)
{
    static char text[200000];

    (void)state;
    assert_true(parse(text, repeat(text, "[vm a]\nkernel=k\ncmdline=", "x", CONFIG_CMDLINE - 1, "\n")));
    assert_int_equal(strlen(config.vm[0].cmdline), CONFIG_CMDLINE - 1);
    assert_false(parse(text, repeat(text, "[vm a]\nkernel=k\ncmdline=", "x", CONFIG_CMDLINE, "\n")));
    assert_string_equal(error.key, "cmdline");
    assert_true(parse(text, repeat(text, "[vm a]\nkernel=", "x", CONFIG_PATH - 1, "\n")));
    assert_false(parse(text, repeat(text, "[vm a]\nkernel=", "x", CONFIG_PATH, "\n")));
    assert_false(parse(text, repeat(text, "", "k", 50000, " = 1\n")));
    assert_non_null(strstr(error.message, "unknown key"));
    assert_true(parse(text, repeat(text, "[vm a]\nkernel=k\n#", "#", 60000, "")));
    assert_false(parse(text, repeat(text, "[vm a]\nkernel=k\n", "\n", 66000, "")));
    assert_non_null(strstr(error.message, "64 KiB"));
}

static void as_many_machines_as_there_is_room_for(void **state)
{
    char text[1000] = "", *end = text;

    (void)state;
    for (int i = 0; i < CONFIG_MAX_VMS; i++)
        end += sprintf(end, "[vm v%d]\nkernel=k%d\n", i, i);
    assert_true(parse(text, strlen(text)));
    assert_int_equal(config.nr_vms, CONFIG_MAX_VMS);
    assert_string_equal(config.vm[CONFIG_MAX_VMS - 1].kernel, "k7");
    strcpy(end, "[vm more]\nkernel=k\n");
    assert_false(parse(text, strlen(text)));
    assert_non_null(strstr(error.message, "at most 8"));
}

static void truncation_at_every_byte(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(good) - 1; len++)
        parse(good, len);
}

/* Random bytes, and random damage to a good text: whatever is accepted obeys the limits. */
static void random_bytes(void **state)
{
    char text[sizeof(good)];

    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        memcpy(text, good, sizeof(good));
        for (size_t i = 0; i < sizeof(good); i++)
            if (round % 2 == 0 || rand() % 100 == 0)
                text[i] = (char)rand();
        if (!parse(text, sizeof(good) - 1))
            continue;
        assert_in_range(config.nr_vms, 1, CONFIG_MAX_VMS);
        for (uint32_t i = 0; i < config.nr_vms; i++) {
            assert_in_range(config.vm[i].memory, CONFIG_MEMORY_MIN, CONFIG_MEMORY_MAX);
            assert_in_range(config.vm[i].vcpus, 1, CONFIG_MAX_VCPUS);
            assert_in_range(strnlen(config.vm[i].kernel, CONFIG_PATH), 1, CONFIG_PATH - 1);
        }
    }
}

static bool parse_api(const char *section)
{
    char text[512];

    snprintf(text, sizeof(text), "[vm a]\nkernel = k\n[net]\n[api]\n%s\n", section);
    return parse(text, strlen(text));
}

/* Off unless asked for; a token that could be guessed, and a second section, are refused. */
static void api(void **state)
{
    (void)state;
    assert_true(parse("[vm a]\nkernel = k\n", 18));
    assert_string_equal(config.api.tokens, "");
    assert_int_equal(config.api.access, CONFIG_ACCESS_TOKEN);
    assert_true(parse_api("tokens = keys/tokens\ncertificate = api.pem\nport = 8080"));
    assert_string_equal(config.api.tokens, "keys/tokens");
    assert_int_equal(config.api.port, 8080);
    assert_true(parse_api("access = open\ninsecure = yes"));
    assert_int_equal(config.api.access, CONFIG_ACCESS_OPEN);
    assert_int_equal(config.api.port, 80);
    assert_true(parse_api("access = open\ncertificate = keys/api.pem\ninsecure = yes"));
    assert_int_equal(config.api.port, 443);
    assert_false(parse_api("tokens = ../tokens"));
    assert_false(parse_api("access = maybe"));
    assert_false(parse_api("port = 0"));
    assert_false(parse_api("port = 65536"));
    assert_false(parse_api("[api]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file),
        cmocka_unit_test(defaults),
        cmocka_unit_test(windows_line_ends_and_byte_order_mark),
        cmocka_unit_test(sizes),
        cmocka_unit_test(the_net_section),
        cmocka_unit_test(the_net_section_alone),
        cmocka_unit_test(ip6_addresses),
        cmocka_unit_test(api),
        cmocka_unit_test(migration),
        cmocka_unit_test(peers),
        cmocka_unit_test(refusals),
        cmocka_unit_test(neighbours_of_refusals),
        cmocka_unit_test(nul_bytes),
        cmocka_unit_test(limits),
        cmocka_unit_test(as_many_machines_as_there_is_room_for),
        cmocka_unit_test(truncation_at_every_byte),
        cmocka_unit_test(random_bytes),
    };

    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/config_keys.h"

#include <assert.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define WANT_PATH "the path of a file on the boot volume, such as guests/hello.elf, at most 63 characters"
static_assert(CONFIG_PATH == 64, "WANT_PATH names the limit");
#define WANT_NAME "a name of at most 31 letters, digits, '-', '_' and '.'"
#define WANT_MAC "an address of one card, such as 52:54:00:12:34:56"
#define WANT_PEERS(most) \
    "1 to " TEXT(most) " IPv4 addresses, no two the same, with blanks between them, such as 192.0.2.11 192.0.2.12:4900"
#define WANT_UUID \
    "32 hexadecimal digits, not all 0, with or without dashes, such as 1b4e28ba-2fa1-11d2-883f-0016d3cca427"
#define WANT_SHA256 "64 hexadecimal digits, as sha256sum prints them"
static_assert(CONFIG_CMDLINE == 512, "the cmdline entry names the limit");
static_assert(CONFIG_MEMORY_MIN == 1 << 20 && CONFIG_MEMORY_MAX == 64ULL << 30, "the memory entry names the limits");

/* struct key's offset. */
#define IN_VM(member) offsetof(struct config_vm, member)
#define IN_NET(member) offsetof(struct config_net, member)
#define IN_API(member) offsetof(struct config_api, member)
#define IN_MIGRATION(member) offsetof(struct config_migration, member)

/* A row of a table. What else the kind of value needs follows by name. */
#define KEY(its_name, its_want, its_kind, place, ...)                                      \
    {                                                                                      \
        .name = its_name, .want = its_want, .kind = its_kind, .offset = place, __VA_ARGS__ \
    }
#define PATH(name, place) KEY(name, WANT_PATH, VALUE_PATH, place, .room = CONFIG_PATH)
#define NUMBER(name, want, place, least, most) KEY(name, want, VALUE_NUMBER, place, .min = least, .max = most)
#define CHOICE(name, want, place, ...) KEY(name, want, VALUE_CHOICE, place, .choices = { __VA_ARGS__, NULL })

static const struct key global_keys[] = {
    PATH("hypervisor", offsetof(struct config, hypervisor)),
    CHOICE("log", "err, warn, info or debug", offsetof(struct config, log), [CONFIG_LOG_ERR] = "err",
           [CONFIG_LOG_WARN] = "warn", [CONFIG_LOG_INFO] = "info", [CONFIG_LOG_DEBUG] = "debug"),
    CHOICE("exit", "auto or halt", offsetof(struct config, exit), "auto", "halt"),
    NUMBER("cpus", "a number from 0 (all) to 64", offsetof(struct config, cpus), 0, 64),
    CHOICE("monitor", "open or token",
           offsetof(struct config, monitor), [CONFIG_ACCESS_TOKEN] = "token", [CONFIG_ACCESS_OPEN] = "open"),
};

static const struct key vm_keys[] = {
    PATH("kernel", IN_VM(kernel)),
    PATH("initrd", IN_VM(initrd)),
    KEY("kernel-sha256", WANT_SHA256, VALUE_HEX, IN_VM(sha256[0]), .room = CONFIG_SHA256),
    KEY("initrd-sha256", WANT_SHA256, VALUE_HEX, IN_VM(sha256[1]), .room = CONFIG_SHA256),
    KEY("cmdline", "at most 511 characters", VALUE_TEXT, IN_VM(cmdline), .room = CONFIG_CMDLINE),
    KEY("memory", "a size from 1M to 64G, a multiple of 4K, such as 256M", VALUE_SIZE, IN_VM(memory),
        .min = CONFIG_MEMORY_MIN, .max = CONFIG_MEMORY_MAX),
    NUMBER("vcpus", "a number from 1 to " TEXT(CONFIG_MAX_VCPUS), IN_VM(vcpus), 1, CONFIG_MAX_VCPUS),
    KEY("mac", WANT_MAC, VALUE_MAC, IN_VM(mac)),
    KEY("uuid", WANT_UUID, VALUE_HEX, IN_VM(uuid), .room = CONFIG_UUID),
    CHOICE(
        "autostart", "ask, yes or no",
        IN_VM(autostart), [CONFIG_AUTOSTART_ASK] = "ask", [CONFIG_AUTOSTART_YES] = "yes", [CONFIG_AUTOSTART_NO] = "no"),
    CHOICE("on-crash", "reset or stop", IN_VM(on_crash), [CONFIG_CRASH_RESET] = "reset", [CONFIG_CRASH_STOP] = "stop"),
    CHOICE("dirty-log", "off, write-protect, dbit, pml, each or guest", IN_VM(dirty_log), [CONFIG_DIRTY_OFF] = "off",
           [CONFIG_DIRTY_WRITE_PROTECT] = "write-protect", [CONFIG_DIRTY_DBIT] = "dbit", [CONFIG_DIRTY_PML] = "pml",
           [CONFIG_DIRTY_EACH] = "each", [CONFIG_DIRTY_GUEST] = "guest"),
    CHOICE("dirty-split", "lazy or eager",
           IN_VM(dirty_split), [CONFIG_DIRTY_LAZY] = "lazy", [CONFIG_DIRTY_EAGER] = "eager"),
    NUMBER("dirty-check", "milliseconds from 1 to 60000", IN_VM(dirty_check), 1, 60000),
    KEY("protect", WANT_PEERS(CONFIG_PROTECT), VALUE_PEERS, IN_VM(protect), .room = CONFIG_PROTECT),
    NUMBER("protect-interval", "milliseconds from 5 to 1000", IN_VM(protect_interval), 5, 1000),
    NUMBER("dirty-drop", "a number from 0 (none) to 1000000", IN_VM(dirty_drop), 0, 1000000),
};

static const struct key net_keys[] = {
    KEY("address", "dhcp or an address with its prefix length, such as 192.0.2.10/24", VALUE_DHCP_OR_NETWORK4,
        IN_NET(address)),
    KEY("gateway", "an address, such as 192.0.2.1", VALUE_ADDRESS4, IN_NET(gateway)),
    KEY("address6", "an address with its prefix length, such as 2001:db8::10/64", VALUE_NETWORK6, IN_NET(address6)),
    CHOICE("uplink", "auto, e1000, virtio or none", IN_NET(uplink), [CONFIG_UPLINK_AUTO] = "auto",
           [CONFIG_UPLINK_E1000] = "e1000", [CONFIG_UPLINK_VIRTIO] = "virtio", [CONFIG_UPLINK_NONE] = "none"),
    KEY("mac", WANT_MAC, VALUE_MAC, IN_NET(mac)),
    NUMBER("storm-limit", "frames a second from 0 (any) to 1000000", IN_NET(storm_limit), 0, 1000000),
    CHOICE("anti-spoof", "yes or no", IN_NET(anti_spoof), "no", "yes"),
    KEY("syslog", "the address of a host, perhaps with a port, such as 192.0.2.5 or 192.0.2.5:5514", VALUE_SERVER4,
        IN_NET(syslog)),
    CHOICE("test-services", "yes or no", IN_NET(test_services), "no", "yes"),
};

static const struct key api_keys[] = {
    PATH("tokens", IN_API(tokens)),
    PATH("certificate", IN_API(certificate)),
    CHOICE("access", "token or open", IN_API(access), [CONFIG_ACCESS_TOKEN] = "token", [CONFIG_ACCESS_OPEN] = "open"),
    NUMBER("port", "a number from 1 to 65535", IN_API(port), 1, 65535),
    CHOICE("insecure", "yes or no", IN_API(insecure), "no", "yes"),
};

#define START_KEYS 6 /* the first keys of [migration]: they can't be changed while the hypervisor runs */

#define WANT_IMAGES \
    "1 to 8 paths of files on the boot volume, each at most 63 characters, with blanks between them, no two the same"
static_assert(CONFIG_IMAGES == 8 && CONFIG_PATH == 64, "WANT_IMAGES names the limits");
#define WANT_HELD "bytes, 0 (most of what is free at the start) or 1M to 1024G, such as 4G"

static const struct key migration_keys[] = {
    NUMBER("port", "a number from 1 to 65535", IN_MIGRATION(port), 1, 65535),
    CHOICE("insecure", "yes or no", IN_MIGRATION(insecure), "no", "yes"),
    KEY("images", WANT_IMAGES, VALUE_IMAGES, IN_MIGRATION(images)),
    KEY("incoming-memory", WANT_HELD, VALUE_BYTES, IN_MIGRATION(incoming_memory), .min = 1 << 20, .max = 1ULL << 40),
    KEY("incoming-memory-per-host", WANT_HELD, VALUE_BYTES, IN_MIGRATION(incoming_memory_per_host), .min = 1 << 20,
        .max = 1ULL << 40),
    KEY("peers", WANT_PEERS(CONFIG_PEERS), VALUE_PEERS, IN_MIGRATION(peers), .room = CONFIG_PEERS),
    NUMBER("downtime-limit", "milliseconds from 1 to 60000", IN_MIGRATION(downtime_limit), 1, 60000),
    KEY("max-bandwidth", "bytes a second, 0 (any) or 4K to 64G, such as 100M", VALUE_BYTES, IN_MIGRATION(max_bandwidth),
        .min = 4096, .max = 64ULL << 30),
    NUMBER("max-rounds", "a number from 1 to 64", IN_MIGRATION(max_rounds), 1, 64),
    CHOICE("on-stall", "stop, abort, throttle, throttle-writers or postcopy", IN_MIGRATION(on_stall),
           [CONFIG_STALL_STOP] = "stop", [CONFIG_STALL_ABORT] = "abort", [CONFIG_STALL_THROTTLE] = "throttle",
           [CONFIG_STALL_POSTCOPY] = "postcopy", [CONFIG_STALL_WRITERS] = "throttle-writers"),
    CHOICE("hot-pages", "last or each", IN_MIGRATION(hot_each), "last", "each"),
    NUMBER("postcopy-rounds", "a number from 1 to 64", IN_MIGRATION(postcopy_rounds), 1, 64),
    NUMBER("heartbeat-limit", "milliseconds from 100 to 60000", IN_MIGRATION(heartbeat_limit), 100, 60000),
    NUMBER("cpu-throttle-initial", "percent from 1 to 99", IN_MIGRATION(throttle.initial), 1, 99),
    NUMBER("cpu-throttle-increment", "percent from 1 to 99", IN_MIGRATION(throttle.increment), 1, 99),
    NUMBER("max-cpu-throttle", "percent from 1 to 99", IN_MIGRATION(throttle.max), 1, 99),
    CHOICE("dirty-log", "auto, write-protect, dbit or pml", IN_MIGRATION(dirty_log), [CONFIG_DIRTY_OFF] = "auto",
           [CONFIG_DIRTY_WRITE_PROTECT] = "write-protect", [CONFIG_DIRTY_DBIT] = "dbit", [CONFIG_DIRTY_PML] = "pml"),
    CHOICE("dirty-split", "lazy or eager", IN_MIGRATION(dirty_split), "lazy", "eager"),
    NUMBER("announce-initial", "milliseconds from 1 to 100000", IN_MIGRATION(announce.initial), 1, 100000),
    NUMBER("announce-max", "milliseconds from 1 to 100000", IN_MIGRATION(announce.max), 1, 100000),
    NUMBER("announce-rounds", "a number from 0 (none) to 1000", IN_MIGRATION(announce.rounds), 0, 1000),
    NUMBER("announce-step", "milliseconds from 0 to 10000", IN_MIGRATION(announce.step), 0, 10000),
};

#define WANT_URLS                                                                                                     \
    "1 to " TEXT(CONFIG_WITNESSES) " URLs of one etcd's members, no two the same, such as https://192.0.2.9:2379 or " \
                                   "https://[2001:db8::9]:2379, with blanks between them"

static const struct key witness_keys[] = {
    KEY("url", WANT_URLS, VALUE_URLS, offsetof(struct config_witness, url)),
    NUMBER("timeout", "milliseconds from 50 to 10000", offsetof(struct config_witness, timeout), 50, 10000),
    PATH("ca", offsetof(struct config_witness, ca)),
    CHOICE("insecure", "yes or no", offsetof(struct config_witness, insecure), "no", "yes"),
};

static const struct key keys_keys[] = {
    KEY("name", WANT_NAME, VALUE_TEXT, offsetof(struct config_keys, name), .room = CONFIG_NAME),
    PATH("keyring", offsetof(struct config_keys, keyring)),
};

#define KEYS(its_place, table) .place = its_place, .keys = table, .count = COUNT(table)
#define SINGLE(its_word, table, fills, marks, marked)                                                              \
    {                                                                                                              \
        .word = its_word, KEYS(" in the [" its_word "] section", table), .target = offsetof(struct config, fills), \
        .mark = offsetof(struct config, marks), .value = marked                                                    \
    }

const struct section global_section = { KEYS(" before the first section", global_keys) };
const struct section vm_section = { KEYS(" in a [vm] section", vm_keys) };
const struct section move_section = { .place = "",
                                      .keys = migration_keys + START_KEYS,
                                      .count = COUNT(migration_keys) - START_KEYS };
const struct section single_sections[] = {
    SINGLE("net", net_keys, net, net.present, 1),
    SINGLE("api", api_keys, api, api.port, UINT32_MAX), /* unless it is said: config_parse */
    SINGLE("migration", migration_keys, migration, migration.port, CONFIG_MIGRATION_PORT),
    SINGLE("witness", witness_keys, witness, witness.present, 1),
    SINGLE("keys", keys_keys, keys, keys.present, 1),
    { .word = NULL },
};
static_assert(COUNT(global_keys) <= 32 && COUNT(vm_keys) <= 32 && COUNT(net_keys) <= 32 && COUNT(api_keys) <= 32 &&
                  COUNT(migration_keys) <= 32,
              "a bit a key in the parser");

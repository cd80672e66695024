/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/config_keys.h"

#include <assert.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define WANT_PATH "the path of a file on the boot volume, such as guests/hello.elf, at most 63 characters"
static_assert(CONFIG_PATH == 64, "WANT_PATH names the limit");
static_assert(CONFIG_CMDLINE == 512, "the cmdline entry names the limit");
static_assert(CONFIG_MEMORY_MIN == 1 << 20 && CONFIG_MEMORY_MAX == 64ULL << 30, "the memory entry names the limits");

/* struct key's offset. */
#define IN_VM(member) offsetof(struct config_vm, member)
#define IN_NET(member) offsetof(struct config_net, member)
#define IN_API(member) offsetof(struct config_api, member)
#define IN_MIGRATION(member) offsetof(struct config_migration, member)

static const struct key global_keys[] = {
    { "hypervisor", WANT_PATH, VALUE_PATH, offsetof(struct config, hypervisor), CONFIG_PATH, 0, 0, { NULL } },
    { "log",
      "err, warn, info or debug",
      VALUE_CHOICE,
      offsetof(struct config, log),
      0,
      0,
      0,
      { [CONFIG_LOG_ERR] = "err",
        [CONFIG_LOG_WARN] = "warn",
        [CONFIG_LOG_INFO] = "info",
        [CONFIG_LOG_DEBUG] = "debug" } },
    { "exit",
      "auto or halt",
      VALUE_CHOICE,
      offsetof(struct config, exit),
      0,
      0,
      0,
      { [CONFIG_EXIT_AUTO] = "auto", [CONFIG_EXIT_HALT] = "halt" } },
    { "cpus", "a number from 0 (all) to 64", VALUE_NUMBER, offsetof(struct config, cpus), 0, 0, 64, { NULL } },
};

static const struct key vm_keys[] = {
    { "kernel", WANT_PATH, VALUE_PATH, IN_VM(kernel), CONFIG_PATH, 0, 0, { NULL } },
    { "initrd", WANT_PATH, VALUE_PATH, IN_VM(initrd), CONFIG_PATH, 0, 0, { NULL } },
    { "cmdline", "at most 511 characters", VALUE_TEXT, IN_VM(cmdline), CONFIG_CMDLINE, 0, 0, { NULL } },
    { "memory",
      "a size from 1M to 64G, a multiple of 4K, such as 256M",
      VALUE_SIZE,
      IN_VM(memory),
      0,
      CONFIG_MEMORY_MIN,
      CONFIG_MEMORY_MAX,
      { NULL } },
    { "vcpus",
      "a number from 1 to " TEXT(CONFIG_MAX_VCPUS),
      VALUE_NUMBER,
      IN_VM(vcpus),
      0,
      1,
      CONFIG_MAX_VCPUS,
      { NULL } },
    { "mac", "an address of one card, such as 52:54:00:12:34:56", VALUE_MAC, IN_VM(mac), 0, 0, 0, { NULL } },
    { "dirty-log",
      "off, write-protect, dbit, pml or each",
      VALUE_CHOICE,
      IN_VM(dirty_log),
      0,
      0,
      0,
      { [CONFIG_DIRTY_OFF] = "off",
        [CONFIG_DIRTY_WRITE_PROTECT] = "write-protect",
        [CONFIG_DIRTY_DBIT] = "dbit",
        [CONFIG_DIRTY_PML] = "pml",
        [CONFIG_DIRTY_EACH] = "each" } },
    { "dirty-split",
      "lazy or eager",
      VALUE_CHOICE,
      IN_VM(dirty_split),
      0,
      0,
      0,
      { [CONFIG_DIRTY_LAZY] = "lazy", [CONFIG_DIRTY_EAGER] = "eager" } },
    { "dirty-check", "milliseconds from 1 to 60000", VALUE_NUMBER, IN_VM(dirty_check), 0, 1, 60000, { NULL } },
    { "dirty-drop", "a number from 0 (none) to 1000000", VALUE_NUMBER, IN_VM(dirty_drop), 0, 0, 1000000, { NULL } },
};

static const struct key net_keys[] = {
    { "address",
      "dhcp or an address with its prefix length, such as 192.0.2.10/24",
      VALUE_DHCP_OR_NETWORK4,
      IN_NET(address),
      0,
      0,
      0,
      { NULL } },
    { "gateway", "an address, such as 192.0.2.1", VALUE_ADDRESS4, IN_NET(gateway), 0, 0, 0, { NULL } },
    { "address6",
      "an address with its prefix length, such as 2001:db8::10/64",
      VALUE_NETWORK6,
      IN_NET(address6),
      0,
      0,
      0,
      { NULL } },
    { "uplink",
      "auto, e1000, virtio or none",
      VALUE_CHOICE,
      IN_NET(uplink),
      0,
      0,
      0,
      { [CONFIG_UPLINK_AUTO] = "auto",
        [CONFIG_UPLINK_E1000] = "e1000",
        [CONFIG_UPLINK_VIRTIO] = "virtio",
        [CONFIG_UPLINK_NONE] = "none" } },
    { "mac", "an address of one card, such as 52:54:00:12:34:56", VALUE_MAC, IN_NET(mac), 0, 0, 0, { NULL } },
    { "storm-limit",
      "frames a second from 0 (any) to 1000000",
      VALUE_NUMBER,
      IN_NET(storm_limit),
      0,
      0,
      1000000,
      { NULL } },
    { "anti-spoof", "yes or no", VALUE_CHOICE, IN_NET(anti_spoof), 0, 0, 0, { "no", "yes" } },
    { "test-services", "yes or no", VALUE_CHOICE, IN_NET(test_services), 0, 0, 0, { "no", "yes" } },
};

static const struct key api_keys[] = {
    { "token", "8 to 127 characters", VALUE_TEXT, IN_API(token), CONFIG_TOKEN, CONFIG_TOKEN_MIN, 0, { NULL } },
    { "access",
      "token or open",
      VALUE_CHOICE,
      IN_API(access),
      0,
      0,
      0,
      { [CONFIG_ACCESS_TOKEN] = "token", [CONFIG_ACCESS_OPEN] = "open" } },
    { "port", "a number from 1 to 65535", VALUE_NUMBER, IN_API(port), 0, 1, 65535, { NULL } },
};
static_assert(CONFIG_TOKEN == 128 && CONFIG_TOKEN_MIN == 8, "the token entry names the limits");

static const struct key migration_keys[] = {
    { "port", "a number from 1 to 65535", VALUE_NUMBER, IN_MIGRATION(port), 0, 1, 65535, { NULL } },
    { "downtime-limit",
      "milliseconds from 1 to 60000",
      VALUE_NUMBER,
      IN_MIGRATION(downtime_limit),
      0,
      1,
      60000,
      { NULL } },
    { "max-bandwidth",
      "bytes a second, 0 (any) to 64G, a multiple of 4K, such as 100M",
      VALUE_SIZE,
      IN_MIGRATION(max_bandwidth),
      0,
      0,
      64ULL << 30,
      { NULL } },
    { "dirty-log",
      "auto, write-protect, dbit or pml",
      VALUE_CHOICE,
      IN_MIGRATION(dirty_log),
      0,
      0,
      0,
      { [CONFIG_DIRTY_OFF] = "auto",
        [CONFIG_DIRTY_WRITE_PROTECT] = "write-protect",
        [CONFIG_DIRTY_DBIT] = "dbit",
        [CONFIG_DIRTY_PML] = "pml" } },
    { "dirty-split",
      "lazy or eager",
      VALUE_CHOICE,
      IN_MIGRATION(dirty_split),
      0,
      0,
      0,
      { [CONFIG_DIRTY_LAZY] = "lazy", [CONFIG_DIRTY_EAGER] = "eager" } },
};

const struct section global_section = { " before the first section", global_keys, COUNT(global_keys) };
const struct section net_section = { " in the [net] section", net_keys, COUNT(net_keys) };
const struct section api_section = { " in the [api] section", api_keys, COUNT(api_keys) };
const struct section migration_section = { " in the [migration] section", migration_keys, COUNT(migration_keys) };
const struct section vm_section = { " in a [vm] section", vm_keys, COUNT(vm_keys) };
static_assert(COUNT(global_keys) <= 32 && COUNT(vm_keys) <= 32 && COUNT(net_keys) <= 32 && COUNT(api_keys) <= 32 &&
                  COUNT(migration_keys) <= 32,
              "a bit a key in the parser");

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/*
 * libFuzzer entry for configurations: the input is the text, or chooses its words from those that mean something. What
 * is taken is within every limit that config/config.h names; what is refused is refused with a line and words.
 */
#include "tests/fuzz/fuzz.h"

#include "config/config.h"

static const char *const words[] = {
    "[vm a]\n",
    "[vm ",
    "]\n",
    "[net]\n",
    "[api]\n",
    "[migration]\n",
    "kernel = ",
    "initrd = ",
    "memory = ",
    "vcpus = ",
    "cmdline = ",
    "mac = ",
    "dirty-log = ",
    "dirty-split = ",
    "dirty-check = ",
    "dirty-drop = ",
    "tokens = ",
    "certificate = ",
    "access = ",
    "port = ",
    "address = ",
    "gateway = ",
    "address6 = ",
    "uplink = ",
    "storm-limit = ",
    "anti-spoof = ",
    "test-services = ",
    "syslog = ",
    "images = ",
    "peers = ",
    "[witness]\n",
    "[keys]\n",
    "insecure = ",
    "keyring = ",
    "url = ",
    "http://",
    "[fd09::9]:2379",
    "downtime-limit = ",
    "max-rounds = ",
    "max-bandwidth = ",
    "on-stall = ",
    "cpu-throttle-initial = ",
    "log = ",
    "exit = ",
    "cpus = ",
    "hypervisor = ",
    "announce-initial = ",
    "announce-max = ",
    "announce-rounds = ",
    "open",
    "token",
    "yes",
    "no",
    "auto",
    "throttle",
    "pml",
    "10.9.0.2/24",
    "fd09::2/64",
    "dhcp",
    "52:54:00:00:00:01",
    "64M",
    "1G",
    "4096",
    "\"",
    "\n",
    "#",
    " ",
    "=",
    "99999999999999999999",
};

static size_t compose(struct fuzz *fuzz, char *text, size_t cap)
{
    size_t len = 0;

    while (fuzz->size) {
        u8 choice = fuzz_u8(fuzz);

        if (choice < ARRAY_SIZE(words)) {
            size_t n = strlen(words[choice]);

            if (len + n > cap)
                break;
            memcpy(text + len, words[choice], n);
            len += n;
        } else if (len < cap) {
            text[len++] = (char)(choice & 127);
        }
    }
    return len;
}

#define REQUIRE_TEXT(field) REQUIRE(memchr(field, 0, sizeof(field)))

static void check_vm(const struct config *config, unsigned index)
{
    const struct config_vm *vm = &config->vm[index];

    REQUIRE_TEXT(vm->name);
    REQUIRE_TEXT(vm->kernel);
    REQUIRE_TEXT(vm->initrd);
    REQUIRE_TEXT(vm->cmdline);
    REQUIRE(vm->name[0] && vm->kernel[0] && vm->line);
    REQUIRE(vm->memory >= CONFIG_MEMORY_MIN && vm->memory <= CONFIG_MEMORY_MAX && vm->memory % 4096 == 0);
    REQUIRE(vm->vcpus >= 1 && vm->vcpus <= CONFIG_MAX_VCPUS && !(vm->mac[0] & 1));
    for (unsigned i = 0; i < index; i++)
        REQUIRE(strcmp(config->vm[i].name, vm->name) != 0);
}

static void check(const struct config *config)
{
    REQUIRE_TEXT(config->hypervisor);
    REQUIRE_TEXT(config->api.tokens);
    REQUIRE_TEXT(config->api.certificate);
    REQUIRE(config->nr_vms <= CONFIG_MAX_VMS);
    REQUIRE(config->net.address.prefix <= 32 && config->net.address6.prefix <= 128 && !(config->net.mac[0] & 1));
    REQUIRE(config->api.port <= 65535 && config->migration.port <= 65535);
    REQUIRE(config->migration.throttle.initial <= 99 && config->migration.throttle.max <= 99);
    for (unsigned i = 0; i < CONFIG_IMAGES; i++)
        REQUIRE_TEXT(config->migration.images[i]);
    for (unsigned i = 0; i < CONFIG_PEERS; i++)
        REQUIRE(config->migration.peers[i].port <= 65535 && !config->migration.peers[i].ip6);
    for (unsigned i = 0; i < CONFIG_WITNESSES; i++)
        REQUIRE(config->witness.url[i].port <= 65535);
    REQUIRE(!config->witness.present == !config->witness.url[0].port);
    for (unsigned i = 0; i < config->nr_vms; i++)
        check_vm(config, i);
}

static void check_refusal(const struct config_error *error)
{
    REQUIRE_TEXT(error->key);
    REQUIRE_TEXT(error->message);
    REQUIRE(error->message[0]);
}

/* A setting that is changed while the hypervisor runs: refused, it changes nothing. */
static void set(struct config *config, const char *text, size_t len)
{
    struct config_migration before = config->migration;
    struct config_error error;
    const char *end = memchr(text, '=', len);
    char key[64] = "", value[64] = "";

    if (!end)
        return;
    memcpy(key, text, MIN((size_t)(end - text), sizeof(key) - 1));
    memcpy(value, end + 1, MIN(len - (size_t)(end + 1 - text), sizeof(value) - 1));
    if (config_migration_set(&config->migration, key, value, &error))
        return;
    check_refusal(&error);
    REQUIRE(memcmp(&before, &config->migration, sizeof(before)) == 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct config config;
    static char composed[8192];
    struct fuzz fuzz = { data, size };
    struct config_error error;

    bool words_only = fuzz_u8(&fuzz) & 1;
    size_t len = words_only ? compose(&fuzz, composed, sizeof(composed)) : fuzz.size;
    char *text = malloc(len ? len : 1); /* of exactly its size, for the sanitizer */

    REQUIRE(text);
    memcpy(text, words_only ? composed : (const char *)fuzz.data, len);
    if (!config_parse(text, len, &config, &error)) {
        check_refusal(&error);
    } else {
        check(&config);
        set(&config, text, len);
    }
    free(text);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/config_check.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool text_equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

const char *config_name_fault(const char *name)
{
    /* A guest's switch port has the guest's name, so a guest may not have the name of another port. */
    static const char *const ports[] = { "uplink", "godwit" };

    /* So that no tool takes a name for an option or for a directory. */
    if (!is_alnum(*name))
        return "a name begins with an ASCII letter or a digit";
    for (const char *c = name; *c; c++)
        if (!is_alnum(*c) && *c != '-' && *c != '_' && *c != '.')
            return "a name holds ASCII letters, digits, '-', '_' and '.' only";
    for (unsigned i = 0; i < COUNT(ports); i++)
        if (text_equal(name, ports[i]))
            return "a port of the switch has this name, expected another one than uplink and godwit";
    return NULL;
}

bool config_bytes_equal(const void *one, const void *other, size_t len)
{
    const uint8_t *a = one, *b = other;
    uint8_t any = 0;

    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i])
            return false;
        any |= a[i];
    }
    return any;
}

static bool refuse_equal(struct config_error *error, const char *key, const struct config_vm *vm, const char *owner,
                         const char *name)
{
    return config_refuse(error, vm->line, key, "the one of [vm ", vm->name, "] is that of ", owner, name,
                         "], too, expected another");
}

/* Do all MACs and identities that are given differ? */
static bool vms_differ(const struct config *config, struct config_error *error)
{
    for (uint32_t i = 0; i < config->nr_vms; i++) {
        const struct config_vm *vm = &config->vm[i];

        if (config_bytes_equal(vm->mac, config->net.mac, CONFIG_MAC))
            return refuse_equal(error, "mac", vm, "[net", "");
        for (uint32_t k = 0; k < i; k++) {
            if (config_bytes_equal(vm->mac, config->vm[k].mac, CONFIG_MAC))
                return refuse_equal(error, "mac", vm, "[vm ", config->vm[k].name);
            if (config_bytes_equal(vm->uuid, config->vm[k].uuid, CONFIG_UUID))
                return refuse_equal(error, "uuid", vm, "[vm ", config->vm[k].name);
        }
    }
    return true;
}

static bool refuse_file(struct config_error *error, const char *key, const struct config_vm *vm, const char *what)
{
    return config_refuse(error, vm->line, key, "the file of [vm ", vm->name, "] is ", what, ", too, expected another");
}

/* Has each file one use only? A guest's kernel is not its initrd, and neither of them is the hypervisor. */
static bool files_differ(const struct config *config, struct config_error *error)
{
    for (uint32_t i = 0; i < config->nr_vms; i++) {
        const struct config_vm *vm = &config->vm[i];

        if (text_equal(vm->initrd, vm->kernel))
            return refuse_file(error, "initrd", vm, "its kernel");
        if (text_equal(vm->kernel, config->hypervisor))
            return refuse_file(error, "kernel", vm, "the hypervisor");
        if (text_equal(vm->initrd, config->hypervisor))
            return refuse_file(error, "initrd", vm, "the hypervisor");
    }
    return true;
}

/* Do the ports on which the host listens differ? */
static bool ports_differ(const struct config *config, struct config_error *error)
{
    static const uint32_t test_ports[] = { 7, 9, 19 }; /* net/testd.c */

    if (config->api.port && config->api.port == config->migration.port)
        return config_refuse(error, 0, "port", "the one of [api] is that of [migration], too, expected another");
    for (unsigned i = 0; i < COUNT(test_ports) && config->net.test_services; i++)
        if (config->api.port == test_ports[i] || config->migration.port == test_ports[i])
            return config_refuse(error, 0, "port",
                                 "7, 9 and 19 are those of test-services, expected another, or test-services = no");
    return true;
}

/* Do the sections about the network agree with each other? */
static bool sections_agree(const struct config *config, struct config_error *error)
{
    const struct config_migration *migration = &config->migration;

    if (config->net.gateway.prefix && !config->net.address.prefix)
        return config_refuse(error, 0, "gateway",
                             "DHCP names the router, expected address = ADDRESS/LENGTH in [net], or no gateway");
    if (config->api.port && !config->net.present)
        return config_refuse(error, 0, "api", "it is served over the network, expected a [net] section, too");
    if (config->api.tokens[0] && config->api.access == CONFIG_ACCESS_OPEN)
        return config_refuse(error, 0, "access",
                             "open would let everybody in without a token, expected access = token, or no tokens");
    if (config->monitor == CONFIG_ACCESS_TOKEN && !config->api.tokens[0])
        return config_refuse(error, 0, "monitor",
                             "there is no token, expected tokens = FILE in [api], or monitor = open");
    if (migration->port && !config->net.present)
        return config_refuse(error, 0, "migration", "guests come over the network, expected a [net] section, too");
    if (migration->incoming_memory && migration->incoming_memory_per_host > migration->incoming_memory)
        return config_refuse(error, 0, "incoming-memory-per-host",
                             "it is above incoming-memory, which is for all hosts, expected as much at most");
    if (migration->peers[0].port && !config->net.address.prefix)
        return config_refuse(error, 0, "peers",
                             "they are asked before DHCP has an address, expected address = ADDRESS/LENGTH in [net]");
    if (config->keys.present && (!config->keys.keyring[0] || config_name_fault(config->keys.name)))
        return config_refuse(error, 0, "keys", "expected name = NAME and keyring = FILE in this section");
    return true;
}

/* Can the witness be asked? By HTTPS it is known by a CA, and we are known to it by a certificate. */
static bool witness_right(const struct config *config, struct config_error *error)
{
    const struct config_witness *witness = &config->witness;
    uint32_t https = witness->url[0].https;

    if (!witness->present)
        return true;
    if (!witness->url[0].port)
        return config_refuse(error, 0, "url", "missing in section [witness], expected url = https://ADDRESS:PORT");
    if (!config->net.address.prefix)
        return config_refuse(error, 0, "witness", "it goes by addresses, expected address = ADDRESS/LENGTH in [net]");
    for (const struct config_server *url = witness->url; url < witness->url + CONFIG_WITNESSES && url->port; url++)
        if (url->https != https)
            return config_refuse(error, 0, "url", "some members have http:// and others https://, expected https://");
    if (!https && witness->ca[0])
        return config_refuse(error, 0, "ca", "nobody is known by it over http://, expected https:// in url");
    if (https && !witness->ca[0])
        return config_refuse(error, 0, "ca",
                             "missing in section [witness], expected ca = FILE, the certificate of the CA "
                             "of its members, which tools/mkkeys ca makes (docs/witness.md)");
    if (https && !config->api.certificate[0])
        return config_refuse(error, 0, "certificate",
                             "missing in section [api], expected certificate = FILE there, which "
                             "a witness by HTTPS is shown (docs/witness.md)");
    return true;
}

/* Has each guest that is to be protected what that takes (docs/failover.md, "Configuration")? */
static bool protect_right(const struct config *config, struct config_error *error)
{
    for (const struct config_vm *vm = config->vm; vm < config->vm + config->nr_vms; vm++) {
        bool yes = vm->autostart == CONFIG_AUTOSTART_YES, mac = config_bytes_equal(vm->mac, vm->mac, CONFIG_MAC);
        const char *want = !config->migration.port       ? "its copies go by [migration], expected such a section, too"
                           : !config->net.address.prefix ? "expected address = ADDRESS/LENGTH in [net]"
                           : !mac ? "its identity must be the same at both machines, expected a mac, too"
                           : yes  ? "autostart = yes would start it beside its copy, expected ask or no"
                                  : NULL;

        if (vm->protect[0].port && want)
            return config_refuse(error, vm->protect_line, "protect", want);
    }
    return true;
}

/* Does each section that leaves something in the clear, and no other, say that this is meant? */
static bool insecure_said(const struct config *config, struct config_error *error)
{
    const struct config_api *api = &config->api;
    const struct {
        const char *name;
        uint32_t present, insecure;
        const char *fault; /* what is in the clear, and what would change that; NULL: nothing is */
    } sections[] = {
        { "migration", config->migration.port, config->migration.insecure,
          config->keys.present ? NULL
                               : "anybody could bring guests here, and read those that leave, expected a section "
                                 "[keys], for which tools/mkkeys new makes a keyring (docs/keys.md)" },
        { "api", api->port, api->insecure,
          !api->certificate[0] ? "tokens and answers could be read on the way, expected certificate = FILE, which "
                                 "tools/mkkeys certificate makes (docs/api.md)"
          : api->access == CONFIG_ACCESS_OPEN ? "access = open lets anybody in, expected tokens = FILE in its place, "
                                                "to which tools/mkkeys token adds one (docs/api.md)"
                                              : NULL },
        { "witness", config->witness.present, config->witness.insecure,
          config->witness.url[0].https
              ? NULL
              : "it is asked by HTTP, whoever is on the way could answer, expected https:// in "
                "url, and ca = FILE, which tools/mkkeys ca makes (docs/witness.md)" },
    };

    for (unsigned i = 0; i < COUNT(sections); i++) {
        const char *name = sections[i].name, *fault = sections[i].fault;

        if (sections[i].present && fault && !sections[i].insecure)
            return config_refuse(error, 0, name, fault, ", or insecure = yes in [", name, "]");
        if (sections[i].insecure && !fault)
            return config_refuse(error, 0, "insecure", "nothing in [", name, "] is, expected insecure = no there");
    }
    return true;
}

bool config_check(const struct config *config, struct config_error *error)
{
    if (!config->nr_vms && !config->net.present && !config->api.port && !config->migration.port)
        return config_refuse(error, 0, "vm", "no virtual machine, expected a section [vm NAME], or [net]");
    return vms_differ(config, error) && files_differ(config, error) && sections_agree(config, error) &&
           witness_right(config, error) && ports_differ(config, error) && protect_right(config, error) &&
           insecure_said(config, error);
}

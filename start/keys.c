/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "keys"
#include "start/keys.h"

#include "config/boot_info.h"
#include "host/clock.h"
#include "host/frame.h"
#include "host/log.h"
#include "host/machine_end.h"
#include "net/netif.h"
#include "tls/authority.h"
#include "tls/certificate.h"
#include "tls/chacha20_choice.h"
#include "tls/keyring.h"
#include "tls/random.h"
#include "tls/rights.h"
#include "tls/tokens.h"
#include "tls/wipe.h"

static bool read_certificate(const char *text, size_t len, const struct config *config)
{
    const char *wrong = certificate_read(text, len);

    if (wrong)
        pr_err("%s: %s", config->api.certificate, wrong);
    return !wrong;
}

static bool read_keyring(const char *text, size_t len, const struct config *config)
{
    const struct config_keys *keys = &config->keys;
    struct keyring_fault fault;
    int err = keyring_read(text, len, keys->name, clock_ns(), &fault);

    if (err)
        pr_err("%s:%u: %s", keys->keyring, fault.line, fault.words);
    else
        pr_info("%s is known by a key", keys->name);
    return !err;
}

static bool read_tokens(const char *text, size_t len, const struct config *config)
{
    unsigned line;
    const char *wrong = tokens_read(text, len, TOKEN_READ, &line);

    if (wrong)
        pr_err("%s:%u: %s", config->api.tokens, line, wrong);
    return !wrong;
}

static bool read_authority(const char *text, size_t len, const struct config *config)
{
    const char *wrong = authority_read(text, len);

    if (wrong)
        pr_err("%s: %s", config->witness.ca, wrong);
    return !wrong;
}

static bool is_own(const u8 *address)
{
    return netif_port_owns(address, false);
}

/* Read the last file of the loader's list, wipe it, and forget it. A machine that was told to use keys does not go on
 * without them. */
static void read_last(struct boot_info *boot_info, bool (*read)(const char *text, size_t len, const struct config *))
{
    const struct boot_info_file *file = &boot_info->file[--boot_info->nr_files];
    bool right = read(frame_window(file->base), file->size, &boot_info->config);

    wipe(frame_window(file->base), file->size);
    if (!right)
        machine_end(END_FAILED);
}

/* What the configuration leaves in the clear, and says so. */
static void warn_insecure(const struct config *config)
{
    if (config->migration.insecure)
        pr_warn("[migration] is insecure, as it says: anybody can bring guests here, and read those that leave");
    if (config->api.insecure)
        pr_warn("[api] is insecure, as it says: %s", config->api.access == CONFIG_ACCESS_OPEN
                                                         ? "anybody can steer guests"
                                                         : "tokens and answers can be read on the way");
    if (config->witness.insecure)
        pr_warn("[witness] is insecure, as it says: whoever is on the way can answer in its place");
}

void keys_read(struct boot_info *boot_info)
{
    const struct config *config = &boot_info->config;

    warn_insecure(config);
    rights_own(is_own);
    if (config->witness.ca[0])
        read_last(boot_info, read_authority);
    if (config->api.tokens[0])
        read_last(boot_info, read_tokens);
    if (config->api.certificate[0])
        read_last(boot_info, read_certificate);
    if (config->keys.present)
        read_last(boot_info, read_keyring);
    if (!config->api.certificate[0] && !config->keys.present)
        return;
    if (!random_is_strong()) {
        pr_err("they need random numbers, and this processor has neither RDSEED nor RDRAND");
        machine_end(END_FAILED);
    }
    chacha20_choose();
}

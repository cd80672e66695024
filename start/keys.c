/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "keys"
#include "start/keys.h"

#include <string.h>

#include "config/boot_info.h"
#include "host/layout.h"
#include "host/log.h"
#include "host/machine_end.h"
#include "tls/keyring.h"
#include "tls/random.h"

void keys_read(struct boot_info *boot_info)
{
    const struct config_keys *keys = &boot_info->config.keys;
    const struct boot_info_file *file;
    struct keyring_fault fault;
    int err;

    if (!keys->present)
        return;
    file = &boot_info->file[--boot_info->nr_files]; /* the loader has put it there */
    err = keyring_read(phys_to_virt(file->base), file->size, keys->name, &fault);
    memset(phys_to_virt(file->base), 0, file->size);
    if (err)
        pr_err("%s:%u: %s", keys->keyring, fault.line, fault.words);
    else if (!random_is_strong())
        pr_err("they need random numbers, and this processor has neither RDSEED nor RDRAND");
    else
        pr_info("%s is known by a key", keys->name);
    if (err || !random_is_strong())
        machine_end(END_FAILED);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cfgcheck: judge a godwit.cfg on the administrator's machine with the very parser that the boot application uses.
 *
 * cfgcheck FILE          says nothing if it is right, else FILE:LINE: KEY: MESSAGE on standard error and status 1
 * cfgcheck --files FILE  also lists the files it names, the hypervisor first, each once
 * cfgcheck --signed FILE also lists those of them that the hypervisor reads for itself, the hypervisor first
 * cfgcheck --digests FILE also lists the SHA-256 that it names, each with the file's path
 * cfgcheck --memory FILE also says how many bytes of RAM its guests have together
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"

/* Read the file's text, at most one byte more than is allowed: with that byte the parser complains. Returns false with
 * errno set. */
static bool text_read(const char *path, char *text, size_t room, size_t *len)
{
    FILE *file = fopen(path, "rb");
    bool ok;

    if (!file)
        return false;
    *len = fread(text, 1, room, file);
    ok = !ferror(file);
    fclose(file);
    return ok;
}

static void file_print(const char *path, const char *printed[], unsigned *count)
{
    if (path[0] == '\0')
        return;
    for (unsigned i = 0; i < *count; i++)
        if (strcmp(printed[i], path) == 0)
            return;
    printed[(*count)++] = path;
    puts(path);
}

/* Those that a loader with a key wants signed; guests' files have digests instead. */
static void signed_print(const struct config *config)
{
    const char *printed[CONFIG_MAX_FILES];
    unsigned count = 0;

    file_print(config->hypervisor, printed, &count);
    file_print(config->keys.keyring, printed, &count);
    file_print(config->api.certificate, printed, &count);
    file_print(config->api.tokens, printed, &count);
    file_print(config->witness.ca, printed, &count);
}

static void files_print(const struct config *config)
{
    const char *printed[CONFIG_MAX_FILES];
    unsigned count = 0;

    file_print(config->hypervisor, printed, &count);
    for (uint32_t i = 0; i < config->nr_vms; i++) {
        file_print(config->vm[i].kernel, printed, &count);
        file_print(config->vm[i].initrd, printed, &count);
    }
    for (unsigned i = 0; i < CONFIG_IMAGES; i++)
        file_print(config->migration.images[i], printed, &count);
    file_print(config->keys.keyring, printed, &count);
    file_print(config->api.certificate, printed, &count);
    file_print(config->api.tokens, printed, &count);
    file_print(config->witness.ca, printed, &count);
}

static bool digest_print(const struct config_vm *vm, unsigned index)
{
    const char *path = index ? vm->initrd : vm->kernel;
    uint8_t any = 0;

    for (unsigned i = 0; i < CONFIG_SHA256; i++)
        any |= vm->sha256[index][i];
    if (!any)
        return true;
    if (path[0] == '\0') {
        fprintf(stderr, "initrd-sha256: [vm %s] has no initrd, expected both or neither\n", vm->name);
        return false;
    }
    for (unsigned i = 0; i < CONFIG_SHA256; i++)
        printf("%02x", vm->sha256[index][i]);
    printf(" %s\n", path);
    return true;
}

static bool digests_print(const struct config *config)
{
    bool right = true;

    for (uint32_t i = 0; i < config->nr_vms; i++)
        for (unsigned file = 0; file < 2; file++)
            right = digest_print(&config->vm[i], file) && right;
    return right;
}

static void memory_print(const struct config *config)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < config->nr_vms; i++)
        bytes += config->vm[i].memory;
    printf("%llu\n", (unsigned long long)bytes);
}

int main(int argc, char *argv[])
{
    static char text[CONFIG_TEXT_MAX + 1];
    static struct config config;
    struct config_error error;
    bool files = argc == 3 && strcmp(argv[1], "--files") == 0;
    bool only_signed = argc == 3 && strcmp(argv[1], "--signed") == 0;
    bool digests = argc == 3 && strcmp(argv[1], "--digests") == 0;
    bool memory = argc == 3 && strcmp(argv[1], "--memory") == 0;
    const char *path = argv[argc - 1];
    size_t len = 0;

    if (!files && !only_signed && !digests && !memory && (argc != 2 || argv[1][0] == '-')) {
        fprintf(stderr, "usage: cfgcheck [--files|--signed|--digests|--memory] FILE\n");
        return 2;
    }
    if (!text_read(path, text, sizeof(text), &len)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    if (!config_parse(text, len, &config, &error)) {
        if (error.line)
            fprintf(stderr, "%s:%u: %s: %s\n", path, error.line, error.key, error.message);
        else
            fprintf(stderr, "%s: %s: %s\n", path, error.key, error.message);
        return 1;
    }
    if (files)
        files_print(&config);
    if (only_signed)
        signed_print(&config);
    if (memory)
        memory_print(&config);
    return !digests || digests_print(&config) ? 0 : 1;
}

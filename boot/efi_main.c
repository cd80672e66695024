/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BOOTX64.EFI: from the firmware to the hypervisor.
 *
 * Reads the configuration, the hypervisor and the guests' files from the boot volume, describes the machine in one
 * struct boot_info, ends the boot services and enters the hypervisor. Until then every failure is one line on the
 * firmware's console, all memory is given back and the firmware goes on with its next boot option.
 */
#include <efi.h>
#include <efilib.h>

#include "boot/failure.h"
#include "boot/cpus.h"
#include "boot/hypervisor_elf.h"
#include "boot/files.h"
#include "config/boot_info.h"
#include "boot/machine.h"
#include "boot/pages.h"
#include "boot/paging.h"
#include "boot/signature.h"
#include "config/digest.h"
#include "config/version.h"

#define CONFIG_FILE "godwit.cfg"
#define CONFIG_FILE_L L"godwit.cfg"
#define STACK_SIZE (32ULL << 10)

/* What the loader knows beyond the hand-over. */
struct loader {
    EFI_HANDLE image;
    EFI_FILE_HANDLE root;
    struct boot_info *boot_info;
    struct hypervisor_elf elf;
    uint64_t cr3;
    uint64_t stack_top;
};

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system);

static uint64_t tsc_read(void)
{
    uint32_t low, high;

    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static EFI_STATUS config_load(struct loader *loader)
{
    struct boot_info_file text;
    struct config_error error;
    EFI_STATUS status = file_read(loader->root, CONFIG_FILE, MEM_LOADER, L"configuration", &text);

    if (!EFI_ERROR(status))
        status = signature_check(loader->root, &text, L"configuration");
    if (EFI_ERROR(status))
        return status;
    if (config_parse((const char *)text.base, text.size, &loader->boot_info->config, &error))
        return EFI_SUCCESS;
    if (error.line == 0)
        return failure_print(EFI_INVALID_PARAMETER, L"%a: %a: %a", CONFIG_FILE, error.key, error.message);
    return failure_print(EFI_INVALID_PARAMETER, L"%a:%d: %a: %a", CONFIG_FILE, error.line, error.key, error.message);
}

/* Read a file that the configuration names, unless another guest has named it already. */
static EFI_STATUS file_load(struct loader *loader, const char *path, const CHAR16 *where)
{
    struct boot_info *boot_info = loader->boot_info;
    struct boot_info_file *file = &boot_info->file[boot_info->nr_files];
    EFI_STATUS status;

    for (uint32_t i = 0; i < boot_info->nr_files; i++)
        if (strcmpa(boot_info->file[i].path, path) == 0)
            return EFI_SUCCESS;
    status = file_read(loader->root, path, MEM_FILE, where, file);
    if (EFI_ERROR(status))
        return status;
    file->digest = digest_bytes(0, (const void *)file->base, file->size);
    boot_info->nr_files++;
    Print(L"  %a, %ld KiB\n", path, (file->size + 1023) >> 10);
    return EFI_SUCCESS;
}

/* The files of one virtual machine; messages name its section. */
static EFI_STATUS vm_load(struct loader *loader, const struct config_vm *vm)
{
    CHAR16 where[64 + CONFIG_NAME];
    EFI_STATUS status;

    UnicodeSPrint(where, sizeof(where), CONFIG_FILE_L L":%d: [vm %a] kernel", vm->line, vm->name);
    status = file_load(loader, vm->kernel, where);
    if (EFI_ERROR(status) || vm->initrd[0] == '\0')
        return status;
    UnicodeSPrint(where, sizeof(where), CONFIG_FILE_L L":%d: [vm %a] initrd", vm->line, vm->name);
    return file_load(loader, vm->initrd, where);
}

/* A file of secrets or of trust, unless the path is empty: behind the others, in memory that is wiped and given back
 * when the hypervisor has read it. */
static EFI_STATUS secret_load(struct loader *loader, const char *path, const CHAR16 *where)
{
    struct boot_info_file *file = &loader->boot_info->file[loader->boot_info->nr_files];
    EFI_STATUS status;

    if (path[0] == '\0')
        return EFI_SUCCESS;
    loader->boot_info->nr_files++;
    status = file_read(loader->root, path, MEM_LOADER, where, file);
    return EFI_ERROR(status) ? status : signature_check(loader->root, file, where);
}

static EFI_STATUS files_load(struct loader *loader)
{
    const struct config *config = &loader->boot_info->config;
    EFI_STATUS status = file_load(loader, config->hypervisor, CONFIG_FILE_L L": hypervisor");

    if (!EFI_ERROR(status))
        status = signature_check(loader->root, &loader->boot_info->file[0], CONFIG_FILE_L L": hypervisor");
    for (uint32_t i = 0; !EFI_ERROR(status) && i < config->nr_vms; i++)
        status = vm_load(loader, &config->vm[i]);
    for (uint32_t i = 0; !EFI_ERROR(status) && i < CONFIG_IMAGES && config->migration.images[i][0]; i++)
        status = file_load(loader, config->migration.images[i], CONFIG_FILE_L L": [migration] images");
    if (!EFI_ERROR(status))
        status = secret_load(loader, config->keys.keyring, CONFIG_FILE_L L": [keys] keyring");
    if (!EFI_ERROR(status))
        status = secret_load(loader, config->api.certificate, CONFIG_FILE_L L": [api] certificate");
    if (!EFI_ERROR(status))
        status = secret_load(loader, config->api.tokens, CONFIG_FILE_L L": [api] tokens");
    if (!EFI_ERROR(status))
        status = secret_load(loader, config->witness.ca, CONFIG_FILE_L L": [witness] ca");
    return status;
}

/* Lay the hypervisor's segments out in one physical range, aligned so that it may use large pages for itself. */
static EFI_STATUS hypervisor_load(struct loader *loader)
{
    struct boot_info *boot_info = loader->boot_info;
    const void *file = (const void *)boot_info->file[0].base;
    const char *wrong = hypervisor_elf_parse(file, boot_info->file[0].size, &loader->elf);
    void *memory;
    EFI_STATUS status;

    if (wrong)
        return failure_print(EFI_LOAD_ERROR, L"%a: %a", boot_info->config.hypervisor, wrong);
    status = pages_alloc(loader->elf.size, PAGES_ALIGN_LARGE, MEM_IMAGE, "hypervisor image", &memory);
    if (EFI_ERROR(status))
        return status;
    hypervisor_elf_load(&loader->elf, file, memory);
    boot_info->image_phys = (uint64_t)memory;
    boot_info->image_virt = loader->elf.virt;
    boot_info->image_size = loader->elf.size;
    return EFI_SUCCESS;
}

/* All that happens while the firmware is still there. */
static EFI_STATUS prepare(struct loader *loader)
{
    struct boot_info *boot_info = loader->boot_info;
    void *stack;
    EFI_STATUS status = volume_open(loader->image, &loader->root);

    if (EFI_ERROR(status))
        return status;
    status = config_load(loader);
    if (!EFI_ERROR(status))
        status = files_load(loader);
    loader->root->Close(loader->root);
    if (!EFI_ERROR(status))
        status = hypervisor_load(loader);
    if (EFI_ERROR(status))
        return status;
    boot_info->tsc.files_loaded = tsc_read();

    machine_find(boot_info);
    cpus_find(boot_info);
    status = pages_alloc(STACK_SIZE, PAGE_SIZE, MEM_LOADER, "stack", &stack);
    loader->stack_top = (uint64_t)stack + STACK_SIZE;
    if (!EFI_ERROR(status))
        status = machine_memory_read(boot_info);
    if (!EFI_ERROR(status))
        status = paging_build(boot_info, &loader->elf, &loader->cr3);
    return status;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *system)
{
    uint64_t loader_entry = tsc_read();
    struct loader loader = { .image = image };
    void *memory;
    EFI_STATUS status;

    InitializeLib(image, system);
    Print(L"%a %a (UEFI)\n", GODWIT_NAME, GODWIT_VERSION);
    BS->SetWatchdogTimer(0, 0, 0, NULL); /* reading large files may take longer than its five minutes */

    status = pages_alloc(sizeof(struct boot_info), PAGE_SIZE, MEM_LOADER, "hand-over", &memory);
    if (EFI_ERROR(status))
        return status;
    loader.boot_info = memory;
    loader.boot_info->magic = BOOT_INFO_MAGIC;
    loader.boot_info->version = BOOT_INFO_VERSION;
    loader.boot_info->size = sizeof(struct boot_info);
    loader.boot_info->tsc.loader_entry = loader_entry;

    status = prepare(&loader);
    if (!EFI_ERROR(status)) {
        Print(L"  processors: %d; entering %a\n", loader.boot_info->nr_cpus, loader.boot_info->config.hypervisor);
        status = machine_exit_boot_services(image, loader.boot_info);
    }
    if (EFI_ERROR(status)) {
        pages_free_all();
        return status;
    }
    loader.boot_info->tsc.handover = tsc_read();
    paging_enter(loader.cr3, loader.stack_top, loader.elf.entry, loader.boot_info);
}

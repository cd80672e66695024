/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading files of the boot volume through EFI_SIMPLE_FILE_SYSTEM_PROTOCOL. */
#include "boot/files.h"

#include <efilib.h>

#include "boot/failure.h"
#include "boot/pages.h"

EFI_STATUS volume_open(EFI_HANDLE image, EFI_FILE_HANDLE *root)
{
    EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
    EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
    EFI_LOADED_IMAGE *loaded;
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *file_system;
    EFI_STATUS status = BS->HandleProtocol(image, &loaded_image_guid, (void **)&loaded);

    if (!EFI_ERROR(status))
        status = BS->HandleProtocol(loaded->DeviceHandle, &file_system_guid, (void **)&file_system);
    if (!EFI_ERROR(status))
        status = file_system->OpenVolume(file_system, root);
    if (EFI_ERROR(status))
        return failure_print(status, L"boot volume: no file system, start BOOTX64.EFI from a FAT volume");
    return EFI_SUCCESS;
}

/* A path in the firmware's spelling: 16-bit characters, separated by backslashes. */
static void path_convert(const char *path, CHAR16 *converted)
{
    do
        *converted++ = *path == '/' ? L'\\' : (CHAR16)*path;
    while (*path++ != '\0');
}

/* Find the size by a seek to the end, which needs no buffer of unknown length, as file information does. */
static EFI_STATUS file_size(EFI_FILE_HANDLE file, uint64_t *size)
{
    EFI_STATUS status = file->SetPosition(file, ~0ULL);

    if (!EFI_ERROR(status))
        status = file->GetPosition(file, size);
    if (!EFI_ERROR(status))
        status = file->SetPosition(file, 0);
    return status;
}

static EFI_STATUS content_read(EFI_FILE_HANDLE handle, const CHAR16 *where, uint32_t kind, struct boot_info_file *file)
{
    uint64_t done = 0;
    void *memory;
    EFI_STATUS status = file_size(handle, &file->size);

    if (EFI_ERROR(status))
        return failure_print(status, L"%s: %a: cannot be read, expected a file", where, file->path);
    if (file->size == 0)
        return failure_print(EFI_END_OF_FILE, L"%s: %a: the file is empty", where, file->path);
    status = pages_alloc(file->size, PAGE_SIZE, kind, file->path, &memory);
    if (EFI_ERROR(status))
        return status;
    file->base = (uint64_t)memory;
    while (done < file->size) {
        UINTN chunk = file->size - done;

        status = handle->Read(handle, &chunk, (char *)memory + done);
        if (!EFI_ERROR(status) && chunk == 0)
            status = EFI_END_OF_FILE;
        if (EFI_ERROR(status))
            return failure_print(status, L"%s: %a: reading failed at byte %ld", where, file->path, done);
        done += chunk;
    }
    return EFI_SUCCESS;
}

EFI_STATUS file_read(EFI_FILE_HANDLE root, const char *path, uint32_t kind, const CHAR16 *where,
                     struct boot_info_file *file)
{
    CHAR16 name[CONFIG_PATH];
    EFI_FILE_HANDLE handle;
    EFI_STATUS status;

    CopyMem(file->path, path, strlena(path) + 1);
    path_convert(path, name);
    status = root->Open(root, &handle, name, EFI_FILE_MODE_READ, 0);
    if (EFI_ERROR(status))
        return failure_print(status, L"%s: %a: cannot open, expected the file on the boot volume", where, path);
    status = content_read(handle, where, kind, file);
    handle->Close(handle);
    return status;
}

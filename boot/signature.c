/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/signature.h"

#include <assert.h>

#include <efilib.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/sha256.h>

#include "boot/failure.h"
#include "boot/files.h"

#define SUFFIX ".sig"
#define SHA256_SIZE 32
static_assert(CONFIG_PATH - sizeof(SUFFIX) == 59, "signature_check names the limit");

/* mbedTLS's heap: the firmware's. mbedTLS finds them by these names. */
void *calloc(size_t count, size_t size);
void free(void *memory);

void *calloc(size_t count, size_t size)
{
    return AllocateZeroPool(count * size); /* mbedTLS asks for some hundred bytes at a time */
}

void free(void *memory)
{
    if (memory)
        FreePool(memory);
}

/* Is it the signature of these bytes, by the loader's key? */
static bool is_right(const struct boot_info_file *file, const struct boot_info_file *signature)
{
    unsigned char digest[SHA256_SIZE];
    mbedtls_ecdsa_context key;
    int err = mbedtls_sha256_ret((const void *)file->base, file->size, digest, 0);

    mbedtls_ecdsa_init(&key);
    if (!err)
        err = mbedtls_ecp_group_load(&key.grp, MBEDTLS_ECP_DP_SECP256R1);
    if (!err)
        err = mbedtls_ecp_point_read_binary(&key.grp, &key.Q, signature_key, signature_key_size);
    if (!err)
        err = mbedtls_ecp_check_pubkey(&key.grp, &key.Q);
    if (!err)
        err = mbedtls_ecdsa_read_signature(&key, digest, sizeof(digest), (const void *)signature->base,
                                           signature->size);
    mbedtls_ecdsa_free(&key);
    return !err;
}

/* The file's name with the suffix. False: that would be no path any more. */
static bool signature_path(const struct boot_info_file *file, char path[CONFIG_PATH])
{
    UINTN length = strlena(file->path);

    if (length + sizeof(SUFFIX) > CONFIG_PATH)
        return false;
    CopyMem(path, file->path, length);
    CopyMem(path + length, SUFFIX, sizeof(SUFFIX));
    return true;
}

EFI_STATUS signature_check(EFI_FILE_HANDLE root, const struct boot_info_file *file, const CHAR16 *where)
{
    static const CHAR16 cure[] = L"expected it signed: tools/mkimage --sign KEY";
    struct boot_info_file signature;
    char path[CONFIG_PATH];
    EFI_STATUS status;

    if (!signature_key_size)
        return EFI_SUCCESS;
    if (!signature_path(file, path))
        return failure_print(EFI_INVALID_PARAMETER,
                             L"%s: %a: no room for .sig, expected a path of 59 characters at most", where, file->path);
    status = file_read(root, path, MEM_LOADER, where, &signature);
    if (EFI_ERROR(status))
        return failure_print(EFI_SECURITY_VIOLATION, L"%s: %a: this loader takes signed files only, %s", where,
                             file->path, cure);
    if (!is_right(file, &signature))
        return failure_print(EFI_SECURITY_VIOLATION, L"%s: %a: %a is not its signature by this loader's key, %s", where,
                             file->path, path, cure);
    return EFI_SUCCESS;
}

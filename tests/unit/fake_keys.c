/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_keys.h"

#include <string.h>

#include "tls/keyring.h"

bool fake_keys;

bool keyring_present(void)
{
    return fake_keys;
}

void keyring_tag(const void *bytes, size_t len, u8 tag[KEYRING_TAG])
{
    u64 hash = 14695981039346656037ULL; /* FNV-1a */

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const u8 *)bytes)[i]) * 1099511628211ULL;
    memcpy(tag, &hash, 8);
    memcpy(tag + 8, &hash, 8);
}

bool keyring_tagged(const void *bytes, size_t len, const u8 tag[KEYRING_TAG])
{
    u8 right[KEYRING_TAG];

    keyring_tag(bytes, len, right);
    return !memcmp(right, tag, sizeof(right));
}

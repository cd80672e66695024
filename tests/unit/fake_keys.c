/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_keys.h"

#include <errno.h>
#include <string.h>

#include "tls/certificate.h"
#include "tls/chacha20_choice.h"
#include "tls/keyring.h"

bool fake_keys;
bool fake_keys_new;

const char *const chacha20_names[] = { "any", "bmi2", "sse2", "avx2", NULL };

static enum chacha20_code used;

enum chacha20_code chacha20_used(void)
{
    return used;
}

void chacha20_use(enum chacha20_code code)
{
    used = code;
}

u64 chacha20_rate(enum chacha20_code code)
{
    return code == CHACHA20_ANY ? 84 : code == CHACHA20_AVX2 ? 57 : 0;
}

bool keyring_present(void)
{
    return fake_keys;
}

const char *keyring_name(void)
{
    return fake_keys ? "alpha" : "";
}

bool keyring_show(unsigned index, struct keyring_key *shown)
{
    static const struct keyring_key keys[] = {
        { .id = "01234567", .offered = true, .since = 1 },
        { .id = "89abcdef", .since = 1 },
        { .peer = "beta", .host = "192.0.2.11", .id = "00112233", .offered = true, .since = 1 },
    };

    if (fake_keys && index < 3)
        *shown = keys[fake_keys_new && index < 2 ? !index : index];
    return fake_keys && index < 3;
}

int keyring_read(const char *text, size_t len, const char *name, u64 now, struct keyring_fault *fault)
{
    fake_keys_new = len == strlen("right") && !memcmp(text, "right", len) && !strcmp(name, "alpha");
    (void)now;
    *fault = (struct keyring_fault){ 3, "not a key" };
    return fake_keys_new ? 0 : -EINVAL;
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

const char *certificate_read(const char *text, size_t len)
{
    return len == strlen("right") && !memcmp(text, "right", len) ? NULL : "no certificate";
}

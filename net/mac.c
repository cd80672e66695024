/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/mac.h"

#include <stdio.h>
#include <string.h>

/* FNV-1a with 64 bits; MIX spreads the effect of the last bytes over all bits. Five bytes of the hash are kept. */
#define FNV_BASE 0xCBF29CE484222325ULL
#define FNV_PRIME 0x100000001B3ULL
#define MIX 0x9E3779B97F4A7C15ULL

#define LOCAL 0x52 /* the first byte: a MAC of one station, locally administered */

static u64 fnv(u64 hash, const void *bytes, size_t len)
{
    for (const u8 *at = bytes; len > 0; at++, len--)
        hash = (hash ^ *at) * FNV_PRIME;
    return hash;
}

void mac_default(u8 mac[MAC_LEN], const u8 *card, const char *name)
{
    u64 hash = fnv(fnv(FNV_BASE, card, card ? MAC_LEN : 0), name, strlen(name));

    hash = (hash ^ hash >> 33) * MIX;
    mac[0] = LOCAL;
    for (unsigned i = 1; i < MAC_LEN; i++)
        mac[i] = (u8)(hash >> (64 - 8 * i));
}

struct mac_text mac_text(const u8 mac[MAC_LEN])
{
    struct mac_text out;

    snprintf(out.text, sizeof(out.text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
             mac[5]);
    return out;
}

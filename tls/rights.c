/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/netaddr.h"
#include "host/bits.h"

static const struct rights_table nobody;
static const struct rights_table *ours = &nobody;

/* A connection may outlive its peer's place in the keyring, and its peer's rights are not to grow by that. No guest has
 * such a name. */
static const struct rights gone = { .name = "who is no peer any more", .guests = { "?" } };

static bool (*own)(const u8 *address); /* NULL: this machine has none */

void rights_own(bool (*owns)(const u8 *address))
{
    own = owns;
}

void rights_use(const struct rights_table *table)
{
    ours = table;
}

static const struct rights *find_name(const struct rights_table *table, const char *name, size_t len)
{
    for (unsigned i = 0; i < table->count; i++)
        if (strlen(table->peer[i].name) == len && !memcmp(table->peer[i].name, name, len))
            return &table->peer[i];
    return NULL;
}

static const struct rights *find_host(const struct rights_table *table, const char *host)
{
    for (unsigned i = 0; i < table->count; i++)
        if (!strcmp(table->peer[i].host, host))
            return &table->peer[i];
    return NULL;
}

const struct rights *rights_get(unsigned index)
{
    return index < ours->count ? &ours->peer[index] : NULL;
}

const struct rights *rights_of_name(const char *name, size_t len)
{
    return find_name(ours, name, len);
}

const struct rights *rights_of_host(const char *host)
{
    return find_host(ours, host);
}

const struct rights *rights_of_peer(const char *peer)
{
    const char *end = strchr(peer, '@');
    const struct rights *rights = end ? rights_of_name(peer, (size_t)(end - peer)) : NULL;

    return rights || !ours->count || !strchr(peer, ':') ? rights : &gone;
}

/* --- The keyring's lines ---------------------------------------------------------------------------------------- */

/* The next word, terminated; *words is what follows it. NULL: there is none. */
static char *next_word(char **words)
{
    char *word;

    do
        word = strsep(words, " \t");
    while (word && !*word);
    return word;
}

static const char *take_peer(struct rights_table *table, char *words)
{
    char *name = next_word(&words), *host = next_word(&words);
    struct rights *peer = &table->peer[table->count];
    u8 address[4];

    if (!host || next_word(&words) || config_name_fault(name) || strlen(name) >= RIGHTS_NAME ||
        !netaddr_ip4(host, strlen(host), address))
        return "expected peer NAME ADDRESS, such as peer beta 192.0.2.11";
    if (table->count == RIGHTS_PEERS)
        return "too many peers, expected at most 8";
    if (own && own(address))
        return "this is our own address, expected that of the peer";
    *peer = (struct rights){ 0 };
    snprintf(peer->host, sizeof(peer->host), "%u.%u.%u.%u", address[0], address[1], address[2], address[3]);
    if (find_name(table, name, strlen(name)) || find_host(table, peer->host))
        return "another peer has this name or address";
    snprintf(peer->name, sizeof(peer->name), "%s", name);
    table->count++;
    return NULL;
}
_Static_assert(RIGHTS_PEERS == 8 && RIGHTS_GUESTS == 8, "the messages name the limits");

/* A guest's name, or the beginning of one with a * behind it. */
static bool is_guest(char *word)
{
    size_t len = strlen(word);
    bool star = word[len - 1] == '*', right;

    if (len >= RIGHTS_NAME)
        return false;
    word[len - star] = '\0';
    right = len == star || !config_name_fault(word);
    word[len - star] = star ? '*' : '\0';
    return right;
}

static const char *take_guests(struct rights *peer, char *words)
{
    unsigned guests = 0;

    if (peer->guests[0][0])
        return "allow is there twice, expected one for each peer";
    for (char *word; (word = next_word(&words)); guests++) {
        if (guests == RIGHTS_GUESTS || !is_guest(word))
            return "expected allow and 1 to 8 names of guests, such as allow db1 web*";
        snprintf(peer->guests[guests], RIGHTS_NAME, "%s", word);
    }
    return guests ? NULL : "expected allow and 1 to 8 names of guests, such as allow db1 web*";
}

/* A number from 1 to 2^20, alone, with `units` behind it if there are any. Returns 0 if it is none, or was given. */
static u64 take_number(u64 given, char *words, const char *units)
{
    char *word = next_word(&words), *end = word;
    u64 number = word && *word >= '1' && *word <= '9' ? strtoul(word, &end, 10) : 0;
    const char *unit = number && *units && *end ? strchr(units, *end) : NULL;

    if (given || !number || number > 1 << 20 || next_word(&words) || (*units && !unit) || end[unit != NULL])
        return 0;
    return number << (unit ? *unit == 'G' ? 30 : 20 : 0);
}

const char *rights_line(struct rights_table *table, const char *word, char *words)
{
    struct rights *peer = table->count ? &table->peer[table->count - 1] : NULL;

    if (!strcmp(word, "peer"))
        return take_peer(table, words);
    if (!peer)
        return "expected group and a key, or peer NAME ADDRESS";
    if (!strcmp(word, "allow"))
        return take_guests(peer, words);
    if (!strcmp(word, "memory")) {
        peer->memory = take_number(peer->memory, words, "MG");
        return peer->memory ? NULL : "expected memory and a size, such as memory 8G, once for each peer";
    }
    if (!strcmp(word, "moves")) {
        peer->moves = take_number(peer->moves, words, "");
        return peer->moves ? NULL : "expected moves and a number, such as moves 2, once for each peer";
    }
    return "expected group, peer, key, allow, memory or moves";
}

/* --- What a peer may do ----------------------------------------------------------------------------------------- */

static bool names(const char *pattern, const char *guest)
{
    size_t len = strlen(pattern);

    return len && pattern[len - 1] == '*' ? !strncmp(pattern, guest, len - 1) : !strcmp(pattern, guest);
}

bool rights_allow(const struct rights *peer, const char *guest)
{
    for (unsigned i = 0; peer && i < RIGHTS_GUESTS && peer->guests[i][0]; i++)
        if (names(peer->guests[i], guest))
            return true;
    return !peer || !peer->guests[0][0];
}

bool rights_reach(const char *host, char words[RIGHTS_WORDS])
{
    bool ip6 = strchr(host, ':');

    if (!ours->count || rights_of_host(host))
        return true;
    snprintf(words, RIGHTS_WORDS, "%s is no peer of this host, expected peer NAME %s in its keyring", host,
             ip6 ? "and an IPv4 address" : host);
    return false;
}

bool rights_judge(const char *peer, const char *guest, u64 bytes, unsigned moves, char words[RIGHTS_WORDS])
{
    const struct rights *rights = rights_of_peer(peer);

    if (!rights)
        return true;
    if (!rights_allow(rights, guest))
        snprintf(words, RIGHTS_WORDS, "%s may not bring a guest of this name here: see allow", rights->name);
    else if (rights->moves && moves > rights->moves)
        snprintf(words, RIGHTS_WORDS, "%s may have %lu guests on their way here at a time: see moves", rights->name,
                 rights->moves);
    else if (rights->memory && bytes > rights->memory)
        snprintf(words, RIGHTS_WORDS, "guests from %s would hold %lu MiB, and may hold %lu: see memory", rights->name,
                 bytes >> 20, rights->memory >> 20);
    else
        return true;
    return false;
}

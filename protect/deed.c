/* SPDX-License-Identifier: BSD-2-Clause */
#include "protect/deed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/netaddr.h"
#include "owners/handoff.h"

bool deed_equal(const struct deed *a, const struct deed *b)
{
    return a->present == b->present && a->owner.owner == b->owner.owner && a->secondary.owner == b->secondary.owner &&
           a->epoch == b->epoch;
}

#define HOST_TEXT 40

static const char *host_text(const struct deed_host *host, char text[HOST_TEXT])
{
    const u8 *a = host->ip4;

    if (!host->owner)
        return "none";
    snprintf(text, HOST_TEXT, "%u.%u.%u.%u:%u %016lx", a[0], a[1], a[2], a[3], host->port, host->owner);
    return text;
}

void deed_text(const struct deed *deed, char text[DEED_MAX])
{
    char owner[HOST_TEXT], secondary[HOST_TEXT];

    text[0] = '\0';
    if (deed->present)
        snprintf(text, DEED_MAX, "1 owner %s secondary %s epoch %lu", host_text(&deed->owner, owner),
                 host_text(&deed->secondary, secondary), deed->epoch);
}

/* Is this the next word? Then go on behind it and the blank that follows. */
static bool take_word(const char **at, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(*at, word, len) || (*at)[len] != ' ')
        return false;
    *at += len + 1;
    return true;
}

static bool take_host(const char **at, struct deed_host *host)
{
    size_t len = strcspn(*at, " ");
    u32 port = 0;
    size_t address = len;
    char *end;

    if (!netaddr_port(*at, &address, &port) || !port || !netaddr_ip4(*at, address, host->ip4) || (*at)[len] != ' ')
        return false;
    host->port = (u16)port;
    host->owner = strtoul(*at + len + 1, &end, 16);
    *at = end + (*end == ' ');
    return host->owner;
}

/* What strtoul takes is more than deed_text writes, so the text must come out again as it was. */
bool deed_parse(const char *text, struct deed *deed)
{
    const char *at = text;
    char again[DEED_MAX];

    *deed = (struct deed){ .present = true };
    if (take_word(&at, "1") && take_word(&at, "owner") && take_host(&at, &deed->owner) && take_word(&at, "secondary") &&
        (take_word(&at, "none") || take_host(&at, &deed->secondary)) && take_word(&at, "epoch")) {
        deed->epoch = strtoul(at, NULL, 10);
        deed_text(deed, again);
        if (deed->epoch && deed->epoch <= EPOCH_MAX && !strcmp(text, again))
            return true;
    }
    *deed = (struct deed){ .present = false };
    return false;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/netaddr.h"

/* Read a number of 1 to `digits` digits in base 10 or 16 at *at. False if there is none, or it is above max. */
static bool number(const char *text, size_t len, size_t *at, unsigned base, unsigned digits, uint32_t max,
                   uint32_t *value)
{
    size_t start = *at;

    *value = 0;
    for (; *at < len && *at - start < digits; (*at)++) {
        char c = text[*at], lower = (char)(c | 0x20);
        unsigned digit = c >= '0' && c <= '9'           ? (unsigned)(c - '0')
                         : lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10
                                                        : 99;

        if (digit >= base)
            break;
        *value = *value * base + digit;
    }
    return *at > start && *value <= max;
}

/* Read `count` bytes with `separator` between them. */
static bool bytes(const char *text, size_t len, unsigned base, unsigned digits, char separator, uint8_t *byte,
                  unsigned count)
{
    uint32_t value;
    size_t at = 0;

    for (unsigned i = 0; i < count; i++) {
        if (i > 0 && (at == len || text[at++] != separator))
            return false;
        if (!number(text, len, &at, base, digits, 255, &value))
            return false;
        byte[i] = (uint8_t)value;
    }
    return at == len;
}

bool netaddr_ip4(const char *text, size_t len, uint8_t address[4])
{
    return bytes(text, len, 10, 3, '.', address, 4);
}

bool netaddr_mac(const char *text, size_t len, uint8_t mac[6])
{
    return bytes(text, len, 16, 2, ':', mac, 6) && (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]) &&
           !(mac[0] & 1);
}

/* Read groups up to the end of the text or to a "::". Returns how many there were, or -1. */
static int groups(const char *text, size_t len, size_t *at, uint16_t group[8])
{
    int count = 0;
    uint32_t value;

    if (*at == len || text[*at] == ':')
        return 0;
    for (;;) {
        if (count == 8 || !number(text, len, at, 16, 4, 0xFFFF, &value))
            return -1;
        group[count++] = (uint16_t)value;
        if (*at == len)
            return count;
        if (text[*at] != ':')
            return -1;
        if (*at + 1 < len && text[*at + 1] == ':')
            return count;
        (*at)++;
    }
}

bool netaddr_ip6(const char *text, size_t len, uint8_t address[16])
{
    uint16_t head[8], tail[8];
    size_t at = 0;
    int nr_head = groups(text, len, &at, head), nr_tail = 0;

    if (nr_head < 0)
        return false;
    if (at < len) { /* at "::", or at a lone ':' */
        if (at + 1 >= len || text[at + 1] != ':')
            return false;
        at += 2;
        nr_tail = groups(text, len, &at, tail);
        if (nr_tail < 0 || nr_head + nr_tail > 7)
            return false;
    } else if (nr_head != 8) {
        return false;
    }
    for (int i = 0; i < 8; i++) {
        int from_tail = i - (8 - nr_tail);
        uint16_t group = i < nr_head ? head[i] : from_tail >= 0 ? tail[from_tail] : 0;

        address[2 * i] = (uint8_t)(group >> 8);
        address[2 * i + 1] = (uint8_t)group;
    }
    return at == len;
}

/* Cut the number behind the last `mark` off the end. Returns 1; 0: there is no mark; -1: the number is wrong. */
static int cut(const char *text, size_t *len, char mark, unsigned digits, uint32_t max, uint32_t *value)
{
    size_t start = *len, at;

    while (start > 0 && text[start - 1] != mark)
        start--;
    at = start;
    if (start == 0)
        return 0;
    if (!number(text, *len, &at, 10, digits, max, value) || at != *len || *value == 0)
        return -1;
    *len = start - 1;
    return 1;
}

bool netaddr_port(const char *text, size_t *len, uint32_t *port)
{
    return cut(text, len, ':', 5, 65535, port) >= 0;
}

bool netaddr_prefix(const char *text, size_t *len, uint32_t max, uint32_t *prefix)
{
    return cut(text, len, '/', 3, max, prefix) > 0;
}

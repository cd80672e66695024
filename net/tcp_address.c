/* SPDX-License-Identifier: BSD-2-Clause */
/* lwIP reads and writes the addresses. It also accepts unusual spellings, which are refused here. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tcp_address_lwip.h"

ip_addr_t tcp_address_lwip(const struct tcp_address *address)
{
    ip_addr_t ip = { .type = address->ip6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4 };

    memcpy(&ip.u_addr, address->bytes, address->ip6 ? 16 : 4);
    return ip;
}

struct tcp_address tcp_address_of_lwip(const ip_addr_t *ip)
{
    struct tcp_address address = { .ip6 = IP_IS_V6(ip) && !ip6_addr_isipv4mappedipv6(ip_2_ip6(ip)) };

    if (IP_IS_V6(ip) && !address.ip6)
        memcpy(address.bytes, &ip_2_ip6(ip)->addr[3], 4);
    else
        memcpy(address.bytes, &ip->u_addr, address.ip6 ? 16 : 4);
    return address;
}

void tcp_address_text(const struct tcp_address *address, char text[TCP_ADDRESS_TEXT])
{
    ip_addr_t ip = tcp_address_lwip(address);
    char name[IPADDR_STRLEN_MAX];

    ipaddr_ntoa_r(&ip, name, sizeof(name));
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c); /* RFC 5952; lwIP writes upper case */
    if (!address->port)
        snprintf(text, TCP_ADDRESS_TEXT, "%s", name);
    else
        snprintf(text, TCP_ADDRESS_TEXT, address->ip6 ? "[%s]:%u" : "%s:%u", name, address->port);
}

/* The port behind the address, or none. */
static int parse_port(const char *text, u16 *port)
{
    char *end;
    unsigned long value;

    if (!*text)
        return 0;
    if (*text != ':' || text[1] < '0' || text[1] > '9')
        return -EINVAL;
    value = strtoul(text + 1, &end, 10);
    if (*end || value == 0 || value > UINT16_MAX)
        return -EINVAL;
    *port = (u16)value;
    return 0;
}

/* ipaddr_aton would also take 10.1 for 10.0.0.1, 0x0A000001, and octal numbers. */
static bool is_whole(const char *name, const ip_addr_t *ip)
{
    char text[IPADDR_STRLEN_MAX];

    return IP_IS_V6(ip) || (ipaddr_ntoa_r(ip, text, sizeof(text)) && !strcmp(text, name));
}

/* Can another machine have this address? Not a group, nobody, everybody, or whoever asks. */
static bool is_host(const ip_addr_t *ip)
{
    u8 first;

    if (IP_IS_V6(ip))
        return !ip_addr_isany(ip) && !ip_addr_isloopback(ip) && !ip_addr_ismulticast(ip);
    first = ip4_addr1(ip_2_ip4(ip));
    return first != 0 && first != IP_LOOPBACKNET && first < 224;
}

int tcp_address_parse(const char *text, u16 port, struct tcp_address *address)
{
    bool bracket = *text == '[';
    size_t len = bracket ? strcspn(text, "]") - 1 : strcspn(text, ":"), skip;
    char name[IPADDR_STRLEN_MAX];
    ip_addr_t ip;

    /* Two colons without brackets: an IPv6 address alone. */
    if (!bracket && text[len] == ':' && strchr(text + len + 1, ':'))
        len = strlen(text);
    skip = bracket ? len + 2 : len;
    if (len == 0 || len >= sizeof(name) || (bracket && text[len + 1] != ']'))
        return -EINVAL;
    memcpy(name, text + bracket, len);
    name[len] = '\0';
    *address = (struct tcp_address){ .port = port };
    if (!ipaddr_aton(name, &ip) || !is_whole(name, &ip) || !is_host(&ip) || parse_port(text + skip, &address->port))
        return -EINVAL;
    address->ip6 = IP_IS_V6(&ip);
    memcpy(address->bytes, &ip.u_addr, address->ip6 ? 16 : 4);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Network addresses in text, for config.c. Pure, no libc; text is a span that need not be terminated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "A.B.C.D". */
bool netaddr_ip4(const char *text, size_t len, uint8_t address[4]);

/* RFC 4291, 2.2, without a dotted tail. */
bool netaddr_ip6(const char *text, size_t len, uint8_t address[16]);

/* "xx:xx:xx:xx:xx:xx"; not a group address, not zero. */
bool netaddr_mac(const char *text, size_t len, uint8_t mac[6]);

/* Cut ":PORT" off the end, if there is one: *len becomes what stands before it. False if it is not from 1 to 65535. */
bool netaddr_port(const char *text, size_t *len, uint32_t *port);

/* Cut "/LEN" off the end: *len becomes what stands before it. False without one, or above max. */
bool netaddr_prefix(const char *text, size_t *len, uint32_t max, uint32_t *prefix);

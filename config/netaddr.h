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

/* Cut ":PORT" off the end, if it is there: *len becomes the length of the text before it. False if PORT is not from 1
 * to 65535. */
bool netaddr_port(const char *text, size_t *len, uint32_t *port);

/* Cut "/LEN" off the end: *len becomes the length of the text before it. False if there is no "/LEN", or if LEN is
 * above max. */
bool netaddr_prefix(const char *text, size_t *len, uint32_t max, uint32_t *prefix);
